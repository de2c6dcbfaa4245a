"""Experiments from Python: one TOML file, trained by the command's engine or by PyTorch on a GPU.

>>> from tagwise import experiment
>>> tiny = {"data": {"train": {"per_multiplicity": [4, 1]}}, "training": {"epochs": 1}}
>>> run = experiment.run(tiny, out="runs/tiny", progress=None)  # device="cuda" trains on a GPU
>>> run.summary["epochs"], len(run.records), sorted(run.weights)[:1]
(1, 2, ['bn1.bias'])

The command of the package does everything but forward and backward passes: it reads the experiment, composes the data,
orders the batches, measures, decodes and writes the run folder, the same for every device. PyTorch is imported by the
process that trains on it, never by this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagwise.__main__ import find_command
from tagwise.errors import TagwiseError, TagwiseFileError, TagwiseTypeError, TagwiseValueError

__all__ = ["FinishedRun", "resume", "run"]

Mode = Literal["auto", "eager", "compile", "cuda-graphs"]
Progress = Callable[[str], object]


@dataclass(frozen=True)
class FinishedRun:
    """A trained network with everything that its run left in a folder.

    Attributes
    ----------
    folder
        ``report.html``, ``weights.safetensors``, ``features-train.safetensors`` and the other files of a run.
    summary
        The final tables, as ``summary.json`` holds them.
    """

    folder: Path
    summary: dict[str, Any]

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was measured before training and after each epoch, one record an epoch."""
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @property
    def report(self) -> Path:
        """The page with tables and pictures."""
        return self.folder / "report.html"

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The trained network by torchvision's names: ``load_state_dict`` takes it as tensors."""
        return read_safetensors(self.folder / "weights.safetensors")

    def features(self, split: Literal["train", "validation", "test"] = "train") -> dict[str, NDArray[Any]]:
        """Features ``[N, d]``, targets and classifier of a data set, as the run measured them."""
        return read_safetensors(self.folder / f"features-{split}.safetensors")


def run(
    experiment: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    device: str = "cpu",
    mode: Mode = "auto",
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = lambda line: print(line, file=sys.stderr, flush=True),
) -> FinishedRun:
    """Trains a network, measures its collapse and decodes the test set: ``tagwise train``.

    Parameters
    ----------
    experiment
        A TOML file, or its tables as a mapping; what it leaves out has its default. ``tagwise train --print-config``
        explains every key.
    device
        ``"cpu"``, the engine of the command; ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"torch-cpu"``, PyTorch on this
        device in a process of its own, which needs ``pip install "tagwise[torch]"``.
    mode
        How PyTorch runs its steps; ``"auto"`` times the modes on a GPU and takes the fastest.
    settings
        Single fields by dotted key, laid over the experiment: ``{"training.learning_rate": 0.05}``.
    seed, epochs
        Short for the fields of these names.
    out
        The folder to make; ``runs/NAME-001``, ``runs/NAME-002``, … when absent.
    progress
        Takes each line of progress; ``None`` for silence.

    Raises
    ------
    TagwiseValueError
        For an experiment that cannot be meant, and a device that this environment does not have.
    TagwiseError
        For a run that failed: its loss became NaN, a file cannot be written, the memory of the device is too small.
    KeyboardInterrupt
        After Ctrl-C, when the run has stopped; :func:`resume` goes on from its last epoch.

    Examples
    --------
    >>> from tagwise import experiment
    >>> few = {"data.train.per_multiplicity": [4, 1], "training.epochs": 1}
    >>> experiment.run(settings=few, seed=3, out="runs/few", progress=None).summary["seed"]
    3
    """
    arguments = ["--device", device, "--torch-mode", mode]
    for key, value in (("seed", seed), ("epochs", epochs), ("out", out)):
        if value is not None:
            arguments += [f"--{key}", os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    for key, value in (settings or {}).items():
        arguments += ["--set", f"{key}={_toml(key, value)}"]
    with tempfile.TemporaryDirectory(prefix="tagwise-") as scratch:
        if isinstance(experiment, Mapping):
            file = Path(scratch) / "experiment.toml"
            file.write_text(_document(experiment), encoding="utf-8")
            arguments += ["--config", str(file)]
        elif experiment is not None:
            arguments += ["--config", os.fspath(experiment)]
        return _train(arguments, progress)


def resume(
    folder: str | os.PathLike[str],
    *,
    device: str = "cpu",
    mode: Mode = "auto",
    progress: Progress | None = lambda line: print(line, file=sys.stderr, flush=True),
) -> FinishedRun:
    """Goes on with an interrupted run from its last whole epoch, on any device.

    Parameters
    ----------
    folder
        The folder of the run.
    device, mode, progress
        As for :func:`run`.

    Raises
    ------
    TagwiseError
        As :func:`run`, and for a folder that holds no run.
    """
    return _train(["--resume", os.fspath(folder), "--device", device, "--torch-mode", mode], progress)


def _train(arguments: list[str], progress: Progress | None) -> FinishedRun:
    try:
        command = [find_command(), "train", "--json", *arguments]
    except FileNotFoundError as error:
        raise TagwiseFileError(str(error)) from None
    environment = {**os.environ, "TAGWISE_PYTHON": os.environ.get("TAGWISE_PYTHON") or sys.executable}
    sentence = ""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            for line in _lines(process.stderr):
                is_error = line.startswith(("tagwise: ", "error: "))
                if is_error:
                    sentence = line.partition(": ")[2]
                elif progress is not None and not sentence:
                    progress(line)
            answer = process.stdout.read()
            code = process.wait()
        except BaseException:  # Ctrl-C has reached the command too, where there is a terminal
            process.terminate()
            process.wait()
            raise
    if code == 0:
        summary = json.loads(answer)
        return FinishedRun(Path(summary["folder"]), summary)
    sentence = sentence or f"the command ended with code {code}"
    if code in (130, -2):
        raise KeyboardInterrupt(sentence)
    raise TagwiseValueError(sentence) if code == 2 else TagwiseError(sentence)


def _lines(pipe: IO[bytes]) -> Iterator[str]:
    """Lines as they come."""
    for line in pipe:
        text = line.decode(errors="replace").strip("\r\n")
        if text.strip():
            yield text


def _document(tables: Mapping[str, Any]) -> str:
    """Nested mappings as TOML, every value under its dotted key."""

    def assignments(tables: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        for key, value in tables.items():
            if not isinstance(key, str):
                raise TagwiseTypeError(f"expected keys of an experiment as text, found {key!r}")
            here = (*path, key)
            if isinstance(value, Mapping):
                yield from assignments(value, here)
            else:
                dotted = ".".join(json.dumps(part) for part in here)
                yield f"{dotted} = {_toml('.'.join(here), value)}\n"

    return "".join(assignments(tables, ()))


def _toml(key: str, value: Any) -> str:
    """A value in TOML's spelling, which is JSON's for what experiments hold."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        value = value.item()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(key, v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ", ".join(_toml(key, item) for item in value) + "]"
    if isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value)
    raise TagwiseTypeError(
        f"expected {key} as a number, a text, a list or a table, found {type(value).__name__}"
    )


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file."""
    sizes = {"F": (16, 32, 64), "I": (8, 16, 32, 64), "U": (8, 16, 32, 64)}
    types = {f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind, each in sizes.items() for bits in each}
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TagwiseFileError(f"{path}: {error.strerror}") from None
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            values = np.frombuffer(data[8 + length + first : 8 + length + last], types[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors
