"""What tagwise.torch costs: its losses beside PyTorch's own, and a measurement once an epoch.

python bench/python_torch.py [--repeats 30] [--json FILE]

Losses: forward and backward of pick-all-labels against F.cross_entropy with soft targets, and of binary
cross-entropy against BCEWithLogitsLoss, interleaved, medians (and the fastest, for a machine that is not
idle). Monitor: epochs of a small ResNet on random 32×32 images, measured online, and beside them
`monitor.measure` of a tenth of the images and of all of them.
Everything on the CPU in one process; the ratios are of one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tagwise.torch import CollapseMonitor, PickAllLabelsLoss
from tagwise.torch.functional import binary_cross_entropy_loss, pick_all_labels_loss

#: Batch and classes: a small head, the usual one, and one where memory decides.
SIZES = [(128, 10), (256, 1000), (1024, 5000)]


def medians(calls: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each call, the median and the least over interleaved repeats after one for warming up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return (
        {name: statistics.median(values) for name, values in times.items()},
        {name: min(values) for name, values in times.items()},
    )


def losses(repeats: int) -> list[dict[str, Any]]:
    """Forward and backward of every loss at every size."""
    rows = []
    for batch, num_classes in SIZES:
        torch.manual_seed(0)
        logits = torch.randn(batch, num_classes)
        hot = (torch.rand(batch, num_classes) < min(0.3, 4 / num_classes)).float()
        sets = hot.bool()

        def timed(loss: Callable[[Tensor], Tensor], logits: Tensor = logits) -> Callable[[], None]:
            inner = max(1, 50_000 // logits.numel())

            def call() -> None:
                for _ in range(inner):
                    loss(logits.requires_grad_()).backward()
                    logits.grad = None

            return call

        bce = nn.BCEWithLogitsLoss()
        found, fastest = medians(
            {
                "cross_entropy": timed(lambda z: F.cross_entropy(z, hot)),  # noqa: B023
                "pal": timed(lambda z: pick_all_labels_loss(z, hot)),  # noqa: B023
                "cross_entropy_shares": timed(  # noqa: B023
                    lambda z: F.cross_entropy(z, hot / hot.sum(1, keepdim=True).clamp(min=1))  # noqa: B023
                ),
                "pal_n": timed(lambda z: pick_all_labels_loss(z, hot, weighting="mean")),  # noqa: B023
                "bce_with_logits": timed(lambda z: bce(z, hot)),  # noqa: B023
                "bce": timed(lambda z: binary_cross_entropy_loss(z, hot)),  # noqa: B023
                "cross_entropy_of_bool": timed(lambda z: F.cross_entropy(z, sets.float())),  # noqa: B023
                "pal_of_bool": timed(lambda z: pick_all_labels_loss(z, sets)),  # noqa: B023
            },
            repeats,
        )
        pairs = [
            ("pal", "cross_entropy"),
            ("pal_n", "cross_entropy_shares"),
            ("bce", "bce_with_logits"),
            ("pal_of_bool", "cross_entropy_of_bool"),
        ]
        rows.append(
            {
                "batch": batch,
                "num_classes": num_classes,
                "seconds": found,
                "ratios": {f"{ours}/{theirs}": found[ours] / found[theirs] for ours, theirs in pairs},
                "of_fastest": {f"{ours}/{theirs}": fastest[ours] / fastest[theirs] for ours, theirs in pairs},
            }
        )
    return rows


class Block(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, given: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(given, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Conv2d(given, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Residual, then ReLU."""
        return F.relu(self.body(x) + self.shortcut(x))


def resnet(num_classes: int) -> nn.Module:
    """A ResNet of 8 layers with 16, 32 and 64 channels."""
    parts = nn.Sequential()
    parts.add_module("stem", nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU()))
    for number, (given, channels, stride) in enumerate([(16, 16, 1), (16, 32, 2), (32, 64, 2)]):
        parts.add_module(f"block{number}", Block(given, channels, stride))
    parts.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    parts.add_module("flatten", nn.Flatten())
    parts.add_module("fc", nn.Linear(64, num_classes))
    return parts


def monitor(repeats: int, num_images: int = 2000, num_classes: int = 10) -> dict[str, Any]:
    """Epochs with and without a measurement."""
    torch.manual_seed(0)
    targets = (torch.rand(num_images, num_classes) < 0.15).float()
    images = torch.randn(num_images, 3, 32, 32)
    data = TensorDataset(images, targets)
    loader = DataLoader(data, batch_size=128, shuffle=True)
    net, loss = resnet(num_classes), PickAllLabelsLoss("mean")
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    watch = CollapseMonitor(net, "avgpool", "fc")
    tenth = DataLoader(TensorDataset(*(part[: num_images // 10] for part in (images, targets))), 200)
    whole = DataLoader(data, batch_size=500)

    def epoch() -> None:
        net.train()
        for x, y in loader:
            optimiser.zero_grad()
            loss(net(x), y).backward()
            optimiser.step()

    def epoch_online() -> None:
        net.train()
        with watch.online():
            for x, y in loader:
                optimiser.zero_grad()
                loss(net(x), y).backward()
                optimiser.step()
                watch.update(y)
            watch.stop()

    def plain_pass() -> None:
        net.eval()
        with torch.no_grad():
            for x, _ in whole:
                net(x)

    found, fastest = medians(
        {
            "epoch": epoch,
            "epoch_online": epoch_online,
            "measure_tenth": lambda: watch.measure(tenth),
            "measure_all": lambda: watch.measure(whole),
            "forward_all": plain_pass,
        },
        repeats,
    )
    return {
        "seconds": found,
        "online_to_epoch": found["epoch_online"] / found["epoch"] - 1,
        "tenth_to_epoch": found["measure_tenth"] / found["epoch"],
        "all_to_epoch": found["measure_all"] / found["epoch"],
        "all_to_forward": found["measure_all"] / found["forward_all"],
        "of_fastest": {name: seconds / fastest["epoch"] for name, seconds in fastest.items()},
    }


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {
        "machine": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "losses": losses(options.repeats),
        "monitor": monitor(options.epochs, options.images),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
