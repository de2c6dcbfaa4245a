"""Experiments on PyTorch: the same run folder, numbers and refusals as the command's own engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tagwise  # noqa: E402
from tagwise import experiment  # noqa: E402
from tagwise.__main__ import find_command  # noqa: E402

#: 140 images, 3 epochs of 3 steps, the last of them short.
TINY = {
    "data": {
        "train": {"per_multiplicity": [9, 1]},
        "validation": {"per_multiplicity": [4, 1]},
        "test": {"per_multiplicity": [4, 1]},
    },
    "training": {"epochs": 3, "learning_rate": 0.02},
    "seed": 1,
}
#: Two engines round differently, and nine steps carry that on.
DRIFT = 1e-2


def run(out, device, **options):
    return experiment.run(TINY, device=device, out=out, progress=None, **options)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same experiment on both engines."""
    folder = tmp_path_factory.mktemp("both")
    return run(folder / "ours", "cpu"), run(folder / "torch", "torch-cpu")


def test_a_run_on_pytorch_leaves_the_same_folder(both):
    ours, theirs = (sorted(path.name for path in one.folder.iterdir()) for one in both)
    assert ours == theirs and "report.html" in ours

    def settings(one):
        lines = (one.folder / "config.toml").read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]

    assert settings(both[0]) == settings(both[1])
    assert (both[0].folder / "network.json").read_bytes() == (both[1].folder / "network.json").read_bytes()
    assert both[1].summary["provenance"]["device"].startswith("torch-cpu with ")
    assert "trains in f32, measures in f32, no TF32, steps eager" in both[1].summary["provenance"]["device"]
    for name in ("ours", "torch"):
        assert both[0].summary.keys() == both[1].summary.keys(), name
    for split in ("train", "validation", "test"):
        one, other = (finished.features(split) for finished in both)
        assert one.keys() == other.keys()
        for key, values in one.items():
            assert values.shape == other[key].shape
            if values.dtype.kind != "f":
                assert (values == other[key]).all(), key


def test_both_engines_measure_the_same_within_their_rounding(both):
    for ours, theirs in zip(both[0].records, both[1].records, strict=True):
        assert ours["epoch"] == theirs["epoch"] and ours.get("learning_rate") == theirs.get("learning_rate")
        tolerance = 1e-5 if ours["epoch"] == 0 else DRIFT
        if "loss" in ours and ours["loss"] is not None:
            assert theirs["loss"] == pytest.approx(ours["loss"], rel=DRIFT)
        one, other = ours["measured"], theirs["measured"]
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=tolerance)
        for key, value in one["collapse"].items():
            if isinstance(value, float):
                assert other["collapse"][key] == pytest.approx(value, rel=10 * tolerance, abs=1e-6), key
    assert both[0].weights.keys() == both[1].weights.keys()
    for name, ours in both[0].weights.items():
        theirs = both[1].weights[name]
        # Biases have just left 0.
        assert np.linalg.norm(theirs - ours) <= DRIFT * np.linalg.norm(ours) + 1e-3, name


def test_weights_go_both_ways(both, tmp_path):
    started = {"network.weights": str(both[1].folder / "weights.safetensors"), "training.epochs": 1}
    measured = [
        run(tmp_path / device, device, settings=started).records[0]["measured"]["train_loss"]
        for device in ("cpu", "torch-cpu")
    ]
    assert measured[0] == pytest.approx(measured[1], rel=1e-5)
    assert measured[1] == pytest.approx(both[1].records[-1]["measured"]["train_loss"], rel=1e-5)


LOSSES = {
    "pal": {"loss.name": "pick-all-labels", "loss.weighting": "sum"},
    "bce": {"loss.name": "binary-cross-entropy"},
    "focal": {"loss.name": "focal", "loss.gamma": 1.5},
    "asl": {"loss.name": "asymmetric"},
    "zlpr": {"loss.name": "zlpr"},
    "set-likelihood": {"loss.name": "set-likelihood", "loss.multiplicities": "none", "loss.max_multiplicity": 3},
    "set-likelihood, constant": {"loss.name": "set-likelihood"},
    "set-likelihood, linear and seen sets": {
        "loss.name": "set-likelihood",
        "loss.multiplicities": "linear",
        "loss.seen_sets": "learned",
    },
    "set-likelihood, seen sets alone": {
        "loss.name": "set-likelihood",
        "loss.multiplicities": "none",
        "loss.seen_sets": "learned",
    },
    "etf, sum of decays": {
        "network.classifier": "fixed-etf",
        "network.feature_dim": 10,
        "training.feature_decay_reduction": "sum",
        "training.feature_decay": 0.001,
    },
    "best validation": {"evaluation.select": "best-validation"},
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_objective_is_the_same_on_both_engines(name, tmp_path):
    # One step for an epoch: the loss before it, and what it does to weights and velocities.
    settings = {"training.batch_size": 135, "training.epochs": 2, "training.learning_rate": 1e-3, **LOSSES[name]}
    ours, theirs = (run(tmp_path / device, device, settings=settings) for device in ("cpu", "torch-cpu"))
    for one, other in zip(ours.records[1:], theirs.records[1:], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
    states = [experiment.read_safetensors(one.folder / "checkpoint.safetensors") for one in (ours, theirs)]
    assert states[0].keys() == states[1].keys()
    for key, values in states[0].items():
        assert np.linalg.norm(states[1][key] - values) <= 5e-2 * np.linalg.norm(values) + 1e-6, key
    assert ours.summary["selected_epoch"] in (1, 2) and theirs.summary["selected_epoch"] in (1, 2)


def test_own_images_are_normalised_alike(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 9, 3), dtype=np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    own = {"data": {"source": "folder", "folder": tmp_path / "images.npz"}, "training": {"epochs": 1}}
    losses = [
        experiment.run(own, device=device, out=tmp_path / device, progress=None).records[0]["measured"]["train_loss"]
        for device in ("cpu", "torch-cpu")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_bf16_trains_in_bf16_and_measures_in_f32(both, tmp_path):
    rough = run(tmp_path / "run", "torch-cpu", settings={"training.precision": "bf16"})
    assert "trains in bf16, measures in f32" in rough.summary["provenance"]["device"]
    first = both[1].records[0]["measured"]
    assert rough.records[0]["measured"]["train_loss"] == pytest.approx(first["train_loss"], rel=1e-7)
    assert rough.records[-1]["loss"] == pytest.approx(both[1].records[-1]["loss"], rel=0.05)
    assert rough.records[-1]["loss"] != both[1].records[-1]["loss"]


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="compiling for the CPU needs a compiler")
def test_compiled_steps_make_the_same_losses(both, tmp_path):
    compiled = run(tmp_path / "run", "torch-cpu", mode="compile")
    assert compiled.summary["provenance"]["device"].endswith("steps compile")
    for ours, theirs in zip(both[1].records[1:], compiled.records[1:], strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=DRIFT)


def interrupted(folder, device, **settings):
    """What a run said that Ctrl-C stopped after its first epoch; nothing where it was quicker than the signal."""
    command = [find_command(), "train", "--device", device, "--out", str(folder)]
    tiny = {
        "data.train.per_multiplicity": "[9,1]",
        "data.validation.per_multiplicity": "[4,1]",
        "data.test.per_multiplicity": "[4,1]",
        "training.epochs": 3,
        "training.learning_rate": 0.02,
        "seed": 1,
    }
    for key, value in {**tiny, **settings}.items():
        command += ["--set", f"{key}={value}"]
    environment = {**os.environ, "TAGWISE_PYTHON": sys.executable}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    records = folder / "metrics.jsonl"
    while process.poll() is None and not (records.exists() and records.read_text().count("\n") >= 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode in (0, 130), said
    return said if process.returncode == 130 else None


ONLY_POSIX = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")


@ONLY_POSIX
def test_an_interrupted_run_goes_on_to_the_same_bits(both, tmp_path):
    said = interrupted(tmp_path / "run", "torch-cpu")
    if said is not None:
        assert f"go on with: tagwise train --resume {tmp_path / 'run'} --device torch-cpu" in said
    resumed = experiment.resume(tmp_path / "run", device="torch-cpu", progress=None)
    assert len(resumed.records) == 4
    for name, values in both[1].weights.items():
        assert (resumed.weights[name] == values).all(), name
    # The other engine goes on from the same checkpoint.
    assert experiment.resume(tmp_path / "run", progress=None).summary["epochs"] == 3


@ONLY_POSIX
@pytest.mark.parametrize(("first", "second"), [("cpu", "torch-cpu"), ("torch-cpu", "cpu")])
def test_potentials_go_on_from_one_engine_to_the_other(first, second, tmp_path):
    likelihood = {"loss.name": "set-likelihood", "loss.multiplicities": "linear", "loss.seen_sets": "learned"}
    whole = run(tmp_path / "whole", first, settings=likelihood)
    interrupted(tmp_path / "run", first, **likelihood)
    resumed = experiment.resume(tmp_path / "run", device=second, progress=None)
    # Velocities drift apart faster than what they move.
    for name, drift in (("head.safetensors", DRIFT), ("checkpoint.safetensors", 5 * DRIFT)):
        ours, theirs = (experiment.read_safetensors(one.folder / name) for one in (whole, resumed))
        assert ours.keys() == theirs.keys() and any("potentials" in key for key in ours)
        for key, values in ours.items():
            assert np.linalg.norm(theirs[key] - values) <= drift * np.linalg.norm(values) + 1e-3, key
    assert resumed.summary["test"][0]["decoder"] == "most probable set"


def test_a_loss_that_is_no_number_stops_the_run_with_its_step(tmp_path):
    with pytest.raises(tagwise.TagwiseError, match=r"the loss became \S+ in epoch \d, step \d; try a smaller"):
        run(tmp_path / "run", "torch-cpu", settings={"training.learning_rate": 1e3, "training.batch_size": 20})
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_devices_that_are_not_here_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(tagwise.TagwiseValueError, match="expected cpu, cuda, cuda:1 and so on, mps or torch-cpu"):
        run(tmp_path / "a", "gpu")
    if not torch.cuda.is_available():
        with pytest.raises(tagwise.TagwiseError, match="^expected a (GPU|PyTorch) .* found .*; use the device torch-cpu"):
            run(tmp_path / "b", "cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(tagwise.TagwiseError, match="^expected an Apple GPU for the device mps, found none"):
            run(tmp_path / "c", "mps")
    with pytest.raises(tagwise.TagwiseError, match="^expected a CUDA device for the mode cuda-graphs, found cpu"):
        run(tmp_path / "d", "torch-cpu", mode="cuda-graphs")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_trained_is_refused_before_pytorch_starts(tmp_path):
    with pytest.raises(tagwise.TagwiseValueError, match="^expected training.epochs to be a whole number from 1"):
        run(tmp_path / "a", "torch-cpu", epochs=0)
    with pytest.raises(tagwise.TagwiseTypeError, match="^expected training.epochs as a number, .* found object"):
        run(tmp_path / "b", "cpu", settings={"training.epochs": object()})
    with pytest.raises(tagwise.TagwiseError, match="holds no run to resume"):
        experiment.resume(tmp_path, progress=None)


def test_torch_stays_out_of_the_process_that_asks():
    code = "import sys; from tagwise import experiment; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"


def test_progress_is_told_line_by_line(tmp_path):
    lines = []
    finished = experiment.run(TINY, out=tmp_path / "run", epochs=1, progress=lines.append)
    assert any(line.startswith("M-lab digits: ") for line in lines) and any("1/1" in line for line in lines)
    summary = json.loads((Path(finished.folder) / "summary.json").read_text())
    assert summary["epochs"] == 1 and finished.report.exists()


def test_a_device_with_too_little_memory_is_told_before_and_while_it_is_used():
    from tagwise.experiment import _device

    cpu = torch.device("cpu")
    if _device.available_memory(cpu) is not None:
        _device.expect_room(1, cpu, {"batch_size": 4})
        with pytest.raises(tagwise.TagwiseValueError, match=r"takes about 1000000.0 GB .* smaller training.batch_size \(now 4\)"):
            _device.expect_room(10**15, cpu, {"batch_size": 4})
    with pytest.raises(tagwise.TagwiseError, match="^cpu ran out of memory with 4 images in a step; try a smaller"):
        with _device.in_one_sentence(cpu, 4):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")


def test_old_drivers_and_old_versions_are_told(monkeypatch):
    from tagwise.experiment import _device

    def refuse():
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update")

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", refuse)
    with pytest.raises(tagwise.TagwiseValueError, match=r"none \(The NVIDIA driver .* \(found version 11040\)\); use the device"):
        _device.open_device("cuda")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(tagwise.TagwiseValueError, match="expected one of the 2 GPUs cuda:0 to cuda:1, found cuda:2"):
        _device.open_device("cuda:2")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu124")
    with pytest.raises(tagwise.TagwiseValueError, match=r"expected PyTorch 2.6 or newer, found 2.5.1\+cu124"):
        _device.open_device("cpu")
