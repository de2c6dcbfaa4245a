"""Collapse as a metric of torchmetrics: one process, two, and in Lightning."""

from __future__ import annotations

import pickle
from copy import deepcopy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchmetrics = pytest.importorskip("torchmetrics")

import torch.distributed as dist  # noqa: E402

import tagwise  # noqa: E402
from tagwise.torchmetrics import MultilabelCollapse  # noqa: E402

NUM_CLASSES, DIM = 3, 5


def samples(num_samples=60):
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(num_samples, NUM_CLASSES, generator=generator) < 0.4
    targets[:NUM_CLASSES] = torch.eye(NUM_CLASSES, dtype=torch.bool)
    means = torch.randn(NUM_CLASSES, DIM, generator=generator)
    noise = 0.3 * torch.randn(num_samples, DIM, generator=generator)
    return targets.float() @ means + noise, targets.int()


def weight():
    return torch.randn(NUM_CLASSES, DIM, generator=torch.Generator().manual_seed(1))


def expected(features, targets):
    statistics = tagwise.Statistics(NUM_CLASSES, DIM).update(features.numpy(), targets.numpy())
    return statistics.collapse(weight=weight().numpy()).scalars()


def as_floats(values):
    return {name: value.item() for name, value in values.items()}


def metric(**options):
    return MultilabelCollapse(NUM_CLASSES, DIM, weight=weight(), **options)


def test_batches_add_up_to_the_whole():
    features, targets = samples()
    ours = metric()
    for part in range(4):
        ours.update(features[part::4], targets[part::4])
    values = as_floats(ours.compute())
    assert values == pytest.approx(expected(features, targets), rel=1e-10)
    assert "nc1_m1" in values and "nc3" in values and not any("@" in name for name in values)
    assert ours.statistics().num_samples == 60


def test_forward_gives_the_batch_and_keeps_the_whole():
    features, targets = samples()
    ours = metric()
    for start in (0, 30):
        part = slice(start, start + 30)
        value = as_floats(ours(features[part], targets[part]))
        assert value == pytest.approx(expected(features[part], targets[part]), rel=1e-10)
    assert as_floats(ours.compute()) == pytest.approx(expected(features, targets), rel=1e-10)


def test_states_merge_reset_and_survive_copies():
    features, targets = samples()
    first, second = metric(), metric()
    first.update(features[:20], targets[:20])
    second.update(features[20:], targets[20:])
    for other in (second, second.metric_state):
        both = deepcopy(first)
        both.merge_state(other)
        assert as_floats(both.compute()) == pytest.approx(expected(features, targets), rel=1e-10)
    again = pickle.loads(pickle.dumps(both))
    again.update(features[:1], targets[:1])
    assert again.statistics().num_samples == 61
    both.reset()
    assert both.statistics().num_samples == 0
    both.update(features, targets)
    assert as_floats(both.compute()) == pytest.approx(expected(features, targets), rel=1e-10)


def test_a_persistent_state_is_in_the_state_dict():
    features, targets = samples()
    ours = metric()
    ours.persistent(True)
    ours.update(features, targets)
    other = metric()
    other.persistent(True)
    other.load_state_dict(ours.state_dict())
    other.update(features[:1], targets[:1])
    assert other.statistics().num_samples == 61


def test_collections_take_it():
    features, targets = samples()
    collection = torchmetrics.MetricCollection({"collapse": metric()}, prefix="train_")
    collection.update(features, targets)
    assert {"train_nc1_m1", "train_nc3"} <= set(collection.compute())


def test_the_classifier_may_come_later():
    features, targets = samples()
    ours = MultilabelCollapse(NUM_CLASSES, DIM)
    ours.update(features, targets)
    assert "nc3" not in ours.compute()
    ours.set_classifier(torch.nn.Parameter(weight()))
    assert as_floats(ours.compute()) == pytest.approx(expected(features, targets), rel=1e-10)


def _two(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=2)
    features, targets = samples()
    ours = metric()
    if rank == 0:  # the other has seen nothing yet
        ours.update(features[:37], targets[:37])
        first = as_floats(ours.compute())
    else:
        first = as_floats(ours.compute())
        ours.update(features[37:], targets[37:])
    ours._computed = None
    second = as_floats(ours.compute())
    own = ours.statistics().num_samples
    with open(f"{folder}/{rank}.pickle", "wb") as file:
        pickle.dump((first, second, own), file)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_two_processes_are_one(tmp_path):
    torch.multiprocessing.spawn(_two, (str(tmp_path),), nprocs=2)
    zero, one = (pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in (0, 1))
    features, targets = samples()
    assert zero[0] == one[0] == pytest.approx(expected(features[:37], targets[:37]), rel=1e-10)
    assert zero[1] == one[1] == pytest.approx(expected(features, targets), rel=1e-10)
    assert (zero[2], one[2]) == (37, 23)


@pytest.mark.parametrize(
    ("features", "targets"),
    [
        (np.zeros((2, DIM + 1)), np.eye(2, NUM_CLASSES)),
        (torch.zeros(2, DIM), torch.zeros(3, NUM_CLASSES)),
        (torch.full((2, DIM), torch.nan), torch.eye(2, NUM_CLASSES)),
    ],
)
def test_bad_input_ends_in_one_sentence(features, targets):
    with pytest.raises(tagwise.TagwiseError) as failure:
        metric().update(torch.as_tensor(features), torch.as_tensor(targets))
    assert "\n" not in str(failure.value)
