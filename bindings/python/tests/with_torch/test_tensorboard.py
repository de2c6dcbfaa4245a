"""The event files of `tagwise train --tensorboard`, read by TensorBoard's own package."""

import csv
import io
import json
import subprocess

import numpy as np
import pytest

from tagwise.__main__ import find_command

events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
Image = pytest.importorskip("PIL.Image")

EPOCHS, BATCH = 3, 64


@pytest.fixture(scope="module")
def command():
    try:
        return find_command()
    except FileNotFoundError:
        pytest.skip("installed without the command")


def train(command, *arguments):
    return subprocess.run([command, "train", "-q", "--tensorboard", *arguments], capture_output=True, text=True, check=False)


def settings(folder):
    return ["--epochs", str(EPOCHS), "--set", "data.train.per_multiplicity=[20, 3, 1]", "--out", str(folder)]


@pytest.fixture(scope="module")
def run(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = train(command, *settings(folder))
    assert done.returncode == 0, done.stderr
    return folder


def accumulated(folder):
    accumulator = events.EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    accumulator.Reload()
    return accumulator


def records(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_every_step_has_a_loss_and_a_learning_rate(run):
    board = accumulated(run)
    images = sum(json.loads((run / "summary.json").read_text())["data"]["train"].values())
    steps = -(-images // BATCH)
    for tag in ("step/loss", "step/learning_rate"):
        assert [event.step for event in board.Scalars(tag)] == list(range(1, EPOCHS * steps + 1))
    losses = [event.value for event in board.Scalars("step/loss")]
    assert np.mean(losses[-steps:]) < np.mean(losses[:steps])
    of_epochs = [record["learning_rate"] for record in records(run)[1:]]
    of_steps = [event.value for event in board.Scalars("step/learning_rate")]
    assert of_steps[steps - 1 :: steps] == pytest.approx(of_epochs, rel=1e-6)


def test_every_epoch_has_the_figures_of_its_record(run):
    board = accumulated(run)
    epochs = board.Scalars("epoch/epoch")
    assert [event.value for event in epochs] == [0, 1, 2, 3]
    assert [event.step for event in epochs] == [epoch * (len(board.Scalars("step/loss")) // EPOCHS) for epoch in range(4)]
    measured = [record["measured"] for record in records(run)]
    for tag, values in {
        "epoch/train_loss": [one["train_loss"] for one in measured],
        "epoch/validation_exact_match": [one["validation"]["subset_accuracy"] for one in measured],
        "collapse/nc2_classifier": [one["collapse"]["nc2"]["classifier"] for one in measured],
    }.items():
        assert [event.value for event in board.Scalars(tag)] == pytest.approx(values, rel=1e-6)
    assert {"collapse/nc2_class_means", "collapse/nc3", "collapse/nc_m2"} <= set(board.Tags()["scalars"])


def test_histograms_are_those_of_the_feature_norms(run):
    from safetensors.numpy import load_file

    board = accumulated(run)
    arrays = load_file(run / "features-train.safetensors")
    norms = np.linalg.norm(arrays["features"].astype(np.float64), axis=1)
    multiplicities = arrays["targets"].sum(axis=1)
    for m in np.unique(multiplicities):
        found = board.Histograms(f"feature_norms/m{m}")
        assert len(found) == EPOCHS + 1
        last, expected = found[-1].histogram_value, norms[multiplicities == m]
        assert last.num == len(expected) == sum(last.bucket)
        assert (last.min, last.max) == pytest.approx((expected.min(), expected.max()), rel=1e-6)
        assert last.sum == pytest.approx(expected.sum(), rel=1e-6)
        assert last.sum_squares == pytest.approx((expected**2).sum(), rel=1e-6)


def test_pictures_are_maps_of_cosines_and_the_plane(run):
    board = accumulated(run)
    tags = set(board.Tags()["images"])
    assert tags == {"cosines/class_means_centred", "cosines/classifier_rows", "cosines/ideal_simplex_etf", "plane/features"}
    for tag in tags:
        pictures = board.Images(tag)
        assert len(pictures) == EPOCHS + 1
        picture = Image.open(io.BytesIO(pictures[-1].encoded_image_string))
        assert picture.size == (pictures[-1].width, pictures[-1].height) and picture.mode == "RGB"
    ideal = np.asarray(Image.open(io.BytesIO(board.Images("cosines/ideal_simplex_etf")[-1].encoded_image_string)))
    cells = ideal[24::48, 24::48].astype(int)  # one pixel of each of ten by ten cells
    diagonal = np.eye(10, dtype=bool)
    assert (cells[diagonal] == [0xC4, 0x54, 0x12]).all()  # 1 on a scale to 1
    share = np.round(255 - (255 - np.array([0x1F, 0x6F, 0xB4])) / 9)  # −1/9
    assert np.abs(cells[~diagonal] - share).max() <= 1


def test_the_same_figures_are_a_flat_table(run):
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["loss"] == "" and float(rows[3]["loss"]) == records(run)[3]["loss"]
    board = accumulated(run)
    for key in ("nc2_class_means", "nc3", "nc_m2"):
        by_epoch = {epoch.step: row[key] for epoch, row in zip(board.Scalars("epoch/epoch"), rows, strict=True)}
        for event in board.Scalars(f"collapse/{key}"):
            assert event.value == pytest.approx(float(by_epoch[event.step]), rel=1e-6)


def test_a_resumed_run_replaces_what_was_lost(command, tmp_path):
    run = tmp_path / "run"
    assert train(command, *settings(run)).returncode == 0
    whole = {event.step: event.value for event in accumulated(run).Scalars("step/loss")}
    # The state after epoch 2: as if the process had died within the third.
    (run / "checkpoint-previous.safetensors").rename(run / "checkpoint.safetensors")
    resumed = train(command, "--resume", str(run))
    assert resumed.returncode == 0, resumed.stderr
    assert len(list((run / "tensorboard").iterdir())) == 2
    scalars = accumulated(run).Scalars("step/loss")
    assert [event.step for event in scalars] == sorted(whole)
    assert {event.step: event.value for event in scalars} == whole
