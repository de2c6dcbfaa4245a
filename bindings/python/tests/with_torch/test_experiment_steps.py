"""Steps of every network against the numbers that the command's own engine is tested with.

`crates/tagwise-nn/tests/golden/train_step.py` made them in float64 with torchvision's modules; weights, images and
targets follow from a formula that stands there too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tagwise  # noqa: E402
from tagwise.experiment._request import first_request  # noqa: E402
from tagwise.experiment._session import Session  # noqa: E402

GOLDEN = json.loads((Path(__file__).parents[4] / "crates/tagwise-nn/tests/golden/train_step.json").read_text())
#: As in `golden_training.rs`, where each is derived.
FORWARD, BATCH_FORWARD, GRADIENT, KINKED_GRADIENT, TRAINED = 1e-4, 3e-4, 1e-3, 5e-2, 3e-3
SAFE_DISTANCE = 1e-5


@pytest.fixture(autouse=True)
def switches_of_precision():
    """A session sets them for the process that it has to itself; here others follow."""
    try:
        from tagwise.torch._frozen import precision_places

        places = precision_places()
        before = [place.fp32_precision for place in places]
    except AttributeError:  # before PyTorch 2.9
        places, before = [], []
    yield
    for place, value in zip(places, before, strict=True):
        place.fp32_precision = value


def request_of(folder, shape, settings):
    """What the command asks first of a process for images of this shape."""
    height, width, channels, num_classes = shape
    labels = np.tile(np.arange(num_classes), 20)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), height, width, channels), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=labels)
    fields = {"data.source": "folder", "data.folder": str(folder / "images.npz"), **settings}
    return first_request([part for key, value in fields.items() for part in ("--set", f"{key}={value}")])


def uniform(seed, count):
    """Numbers in [0, 1): murmur3's finaliser of (seed, position)."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 974711 & 0xFFFFFFFF)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2.0**32


def initial(name, shape, seed):
    u = uniform(seed, int(np.prod(shape)))
    if len(shape) == 4:
        values = (u - 0.5) * np.sqrt(24.0 / np.prod(shape[1:]))
    elif len(shape) == 2:
        values = (u - 0.5) * 2.0 / np.sqrt(shape[1])
    elif name.endswith("running_var"):
        values = 0.5 + u
    elif name.endswith("weight"):
        values = 0.75 + 0.5 * u
    else:
        values = 0.4 * (u - 0.5)
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def summary_error(tensor, expected):
    """The largest deviation from a stored summary, relative to the tensor's norm."""
    flat = tensor.detach().double().contiguous().flatten().numpy()
    direction = uniform(99, len(flat)) - 0.5
    scale = max(expected["norm"], 1e-12)
    errors = [
        abs(np.linalg.norm(flat) - expected["norm"]) / scale,
        abs(flat @ direction - expected["dot"]) / (scale * np.linalg.norm(direction)),
    ]
    entries = np.array(expected["entries"])
    found = flat[:: max(len(flat) // 4, 1)][: len(entries)]
    errors += list(np.abs(found - entries) / np.maximum(np.abs(entries), scale / np.sqrt(len(flat))))
    return max(errors)


def list_error(tensor, expected):
    found, expected = tensor.detach().double().numpy().flatten(), np.array(expected)
    return np.abs(found - expected).max() / np.abs(expected).max()


def targets_of(batch, num_classes):
    rows = np.zeros((batch, num_classes), dtype=np.uint8)
    for i in range(batch):
        for j in range(i % 3 + 1):
            rows[i, (3 * i + 2 * j) % num_classes] = 1
    return rows


def trainer_of(case, folder):
    settings = {
        "network.architecture": case["architecture"],
        "network.classifier": case["classifier"],
        "training.batch_size": case["batch"],
        "training.momentum": GOLDEN["settings"]["momentum"],
        "training.weight_decay": GOLDEN["settings"]["weight_decay"],
    }
    if case["feature_dim"]:
        settings["network.feature_dim"] = case["feature_dim"]
    trainer = Session(request_of(folder, (*case["input"], case["num_classes"]), settings))._trainer
    with torch.no_grad():
        for index, name in enumerate(sorted(trainer.tensors)):
            tensor = trainer.tensors[name]
            is_etf = tensor.ndim == 2 and case["classifier"] == "fixed-etf"
            values = torch.from_numpy(tagwise.simplex_etf(*tensor.shape)) if is_etf else None
            tensor.copy_(initial(name, list(tensor.shape), index + 1) if values is None else values)
    images = uniform(case["input_seed"], case["batch"] * int(np.prod(case["input"])))
    trainer.images["train"] = torch.from_numpy(images.astype(np.float32)).reshape(case["batch"], *case["input"])
    trainer.scaled = lambda images: images.permute(0, 3, 1, 2)  # they are numbers already, no bytes
    trainer.set_targets(targets_of(case["batch"], case["num_classes"]))
    trainer.set_objective(
        {
            "loss": {"name": "pick-all-labels", "weighting": "mean"},
            "feature_decay": GOLDEN["settings"]["feature_decay"],
            "feature_decay_reduction": "mean",
        }
    )
    return trainer


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['architecture']}-{case['classifier']}")
def test_steps_agree_with_those_that_the_other_engine_is_tested_with(case, tmp_path):
    trainer = trainer_of(case, tmp_path)
    assert sum(tensor.numel() for tensor in trainer.trained.values()) == case["num_trainable"]
    everything = torch.arange(case["batch"])
    images = trainer.scaled(trainer.images["train"])
    trainer.network.eval()
    assert list_error(trainer.network(images)[1], case["initial_logits"]) < FORWARD

    trainer.network.train()
    before = trainer.state().copy()
    loss, objective = trainer.loss(everything)
    assert abs(objective.item() - case["losses"][0]) < BATCH_FORWARD * case["losses"][0]
    assert loss.item() < objective.item()
    objective.backward()
    is_safe = case["nearest_kink"] > SAFE_DISTANCE
    for name, tensor in trainer.trained.items():
        expected = case["gradients"][name]
        if expected["norm"] < 1e-12:  # a bias before a norm
            assert tensor.grad.abs().max() == 0
        else:
            error = summary_error(tensor.grad, expected)
            assert error < (GRADIENT if is_safe else KINKED_GRADIENT), name
    for tensor in trainer.trained.values():
        tensor.grad.zero_()
    trainer.load_state(before)  # that pass has moved the running statistics
    if case["architecture"] == "resnet50":
        return  # the further steps are chaotic at this size

    order, rate = np.arange(case["batch"]), np.array([case["learning_rate"]])
    for expected in case["losses"]:
        before = trainer.state().copy()
        trainer.network.train()
        with torch.no_grad():
            objective = trainer.loss(everything)[1]
        assert abs(objective.item() - expected) < TRAINED * expected
        trainer.load_state(before)
        list(trainer.learn(order, rate, case["batch"]))
    for name, expected in case["state"].items():
        if expected["norm"] >= 1e-12:
            assert summary_error(trainer.tensors[name], expected) < TRAINED, name
    trainer.network.eval()
    features, logits = trainer.network(images)
    assert list_error(logits, case["eval_logits"]) < TRAINED
    assert summary_error(features, case["eval_features"]) < TRAINED
