"""Two processes on the CPU (gloo) measure as one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset  # noqa: E402

import tagwise  # noqa: E402
from tagwise.torch import CollapseMonitor, Indexed, merge_statistics  # noqa: E402

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo here"
)

NUM_SAMPLES, NUM_CLASSES, DIM = 37, 3, 5


def samples():
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(NUM_SAMPLES, NUM_CLASSES, generator=generator) < 0.5
    targets[:NUM_CLASSES] = torch.eye(NUM_CLASSES, dtype=torch.bool)
    return torch.randn(NUM_SAMPLES, 4, generator=generator), targets.float()


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, DIM), nn.BatchNorm1d(DIM), nn.ReLU(), nn.Linear(DIM, NUM_CLASSES))
    return net


def run(worker, world, folder, *arguments):
    """Runs a worker in several processes; what each returns, in the order of ranks."""
    torch.multiprocessing.spawn(_entry, (worker, world, str(folder), arguments), nprocs=world)
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(world)]


def _entry(rank, worker, world, folder, arguments):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world)
    result = worker(rank, *arguments)
    with open(f"{folder}/{rank}.pickle", "wb") as file:
        pickle.dump(result, file)
    dist.barrier()
    dist.destroy_process_group()


def measure_in_ddp(rank, kind):
    net = network()
    ddp = nn.parallel.DistributedDataParallel(net)
    with torch.no_grad():
        net[1].running_mean += rank  # as after a step: only rank 0's counts
    data = TensorDataset(*samples())
    if kind == "indexed":
        data = Indexed(data)
    sampler = DistributedSampler(data, shuffle=False)
    loader = DataLoader(data, batch_size=5, sampler=sampler)
    sums = "device" if kind == "device" else "host"
    measurement = CollapseMonitor(ddp, "2", "3", sums=sums).measure(loader)
    assert ddp.training and not any(module._forward_hooks for module in net.modules())
    return measurement.scalars(), measurement.statistics.num_samples, measurement.cautions


@pytest.mark.parametrize("kind", ["indexed", "plain", "device"])
def test_a_model_in_ddp_is_measured_as_by_one_process(tmp_path, kind):
    (first, counted, cautions), second = run(measure_in_ddp, 2, tmp_path, kind)
    assert second == (first, counted, cautions)
    whole, targets = samples()
    if kind == "indexed":
        assert counted == NUM_SAMPLES and cautions == ()
    else:
        assert counted == NUM_SAMPLES + 1 and "repeats 1 samples, which count twice" in cautions[0]
        whole, targets = torch.cat([whole, whole[:1]]), torch.cat([targets, targets[:1]])
    alone = CollapseMonitor(network(), "2", "3").measure([(whole, targets)]).scalars()
    assert first == pytest.approx(alone, rel=1e-5)


def measure_unequal_parts(rank):
    """Rank 1 has one batch, rank 2 none; all samples of rank 1 are also on rank 0."""
    inputs, targets = samples()
    rows = [torch.arange(20), torch.arange(15, 20), torch.arange(0)][rank]
    batches = [(inputs[part], targets[part], part) for part in rows.split(6) if len(part)]
    measurement = CollapseMonitor(network(), "2", "3").measure(batches)
    return measurement.scalars(), measurement.statistics.num_samples


def test_processes_with_more_fewer_and_no_batches_do_not_wait_for_each_other(tmp_path):
    results = run(measure_unequal_parts, 3, tmp_path)
    assert results[0] == results[1] == results[2] and results[0][1] == 20
    inputs, targets = samples()
    alone = CollapseMonitor(network(), "2", "3").measure([(inputs[:20], targets[:20])])
    assert results[0][0] == pytest.approx(alone.scalars(), rel=1e-5)


def merge_parts(rank):
    features, targets = samples()
    part = tagwise.Statistics(NUM_CLASSES, 4).update(features[rank::5].numpy(), targets[rank::5].numpy())
    before = part.to_bytes()
    merged = merge_statistics(part)
    assert part.to_bytes() == before
    return merged.to_bytes()


def test_statistics_of_five_processes_merge_in_a_tree(tmp_path):
    results = run(merge_parts, 5, tmp_path)
    assert len(set(results)) == 1
    merged = tagwise.Statistics.from_bytes(results[0])
    features, targets = samples()
    whole = tagwise.Statistics(NUM_CLASSES, 4).update(features.numpy(), targets.numpy())
    assert (merged.counts == whole.counts).all()
    assert np.allclose(merged.means, whole.means, rtol=0, atol=1e-14)
    assert merged.collapse().scalars() == pytest.approx(whole.collapse().scalars(), rel=1e-10)


def measure_in_fsdp(rank):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    net = network()
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(net[3], mesh=mesh)
    fully_shard(net, mesh=mesh)
    inputs, targets = samples()
    loader = [(inputs[rank:36:2], targets[rank:36:2])]
    return CollapseMonitor(net, "2", "3").measure(loader).scalars()


@pytest.mark.skipif(sys.platform != "linux", reason="FSDP on the CPU is tried on Linux")
def test_a_model_in_fsdp_is_measured_with_its_whole_classifier(tmp_path):
    first, second = run(measure_in_fsdp, 2, tmp_path)
    inputs, targets = samples()
    alone = CollapseMonitor(network(), "2", "3").measure([(inputs[:36], targets[:36])]).scalars()
    assert first == second and first == pytest.approx(alone, rel=1e-5)


def test_without_processes_the_part_is_the_whole():
    part = tagwise.Statistics(2, 1).update(np.array([[1.0], [2.0]]), np.eye(2, dtype=np.uint8))
    assert merge_statistics(part) is part


def test_the_example_runs_under_torchrun(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "torchrun_ddp.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(example)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if "collapse/nc1_m1" in line]
    assert [line.split()[:2] for line in lines] == [["0", "203"], ["1", "203"], ["2", "203"]]
