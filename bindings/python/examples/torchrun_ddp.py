"""A training loop in DDP that measures collapse after every epoch.

torchrun --nproc-per-node 2 torchrun_ddp.py
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from tagwise.torch import CollapseMonitor, Indexed, PickAllLabelsLoss, SimplexETFClassifier


def main() -> None:
    """Trains 3 epochs; rank 0 prints."""
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    targets = (torch.rand(203, 4) < 0.4).float()
    data = TensorDataset(targets @ torch.randn(4, 16) + 0.1 * torch.randn(203, 16), targets)
    net = nn.Sequential(nn.Linear(16, 4), nn.BatchNorm1d(4), SimplexETFClassifier(4, 4, scale=4.0))
    model = nn.parallel.DistributedDataParallel(net)
    monitor = CollapseMonitor(model, features="1", classifier="2")

    sampler: DistributedSampler[Any] = DistributedSampler(data)
    train_loader = DataLoader(data, batch_size=32, sampler=sampler)
    indexed = Indexed(data)  # a sample that the sampler repeats counts once
    measure_loader = DataLoader(indexed, 64, sampler=DistributedSampler(indexed, shuffle=False))
    loss, optimiser = PickAllLabelsLoss("mean"), torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for inputs, sets in train_loader:
            optimiser.zero_grad()
            loss(model(inputs), sets).backward()
            optimiser.step()
        measurement = monitor.measure(measure_loader)  # the same on every rank
        if dist.get_rank() == 0:
            print(epoch, measurement.statistics.num_samples, measurement.scalars("collapse/"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
