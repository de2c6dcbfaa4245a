"""How the steps of training are run: eager, compiled, or replayed as one CUDA graph."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from tagwise.errors import TagwiseValueError

from ._trainer import Trainer

Step = Callable[[Tensor], Tensor]

EAGER, COMPILE, CUDA_GRAPHS = MODES = ("eager", "compile", "cuda-graphs")

#: Steps before the clock starts, and steps on the clock.
WARM, TIMED = 3, 12


def choose(trainer: Trainer, mode: str) -> str:
    """Makes the trainer's steps run in this mode, or in the fastest of all on a GPU; says which, for people.

    Raises
    ------
    TagwiseValueError
        For a mode that the device does not have.
    """
    has_whole_batch = len(trainer.images["train"]) >= trainer.batch_size
    if mode == "auto" and (trainer.device.type != "cuda" or not has_whole_batch):
        mode = EAGER
    if mode != "auto":
        trainer.run_step = _step(trainer, mode) if has_whole_batch else trainer.step
        return mode if has_whole_batch else EAGER
    steps: dict[str, tuple[float, Step]] = {}
    for name in MODES:
        try:
            step = _step(trainer, name)
            steps[name] = _seconds(trainer, step), step
        except Exception as error:  # what cannot be compiled here is run as it is
            if name == EAGER:
                raise
            said = " ".join(str(error).split())[:100]
            print(f"tagwise: steps are not run in mode {name}: {type(error).__name__}: {said}", flush=True)
    compiled_once.cache_clear()
    fastest = min(steps, key=lambda name: steps[name][0])
    trainer.run_step = steps[fastest][1]
    times = ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, (seconds, _) in steps.items())
    steps.clear()
    torch.cuda.empty_cache()  # of the modes that are not taken
    return f"{fastest}, the fastest of {times} a step"


def _step(trainer: Trainer, mode: str) -> Step:
    if mode == EAGER:
        return trainer.step
    compiled = compiled_once(trainer)
    if mode == COMPILE:
        return lambda indices: trainer.step_by(compiled, indices)
    if trainer.device.type != "cuda":
        raise TagwiseValueError(f"expected a CUDA device for the mode {CUDA_GRAPHS}, found {trainer.device}")
    return GraphStep(trainer, compiled)


@lru_cache(maxsize=1)
def compiled_once(trainer: Trainer) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The loss as both compiled modes take it."""
    compiled: Callable[[Tensor], tuple[Tensor, Tensor]] = torch.compile(trainer.loss, dynamic=False)
    return compiled


class GraphStep:
    """A whole step, from the bytes of a batch to new weights, as one graph of kernels."""

    def __init__(self, trainer: Trainer, loss_of: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        trainer.network.train()
        self._indices = torch.arange(trainer.batch_size, device=trainer.device)
        self._graph = torch.cuda.CUDAGraph()
        with trainer.trial():
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(WARM):
                    trainer.step_by(loss_of, self._indices)
            torch.cuda.current_stream().wait_stream(beside)
            with torch.cuda.graph(self._graph):
                self._loss = trainer.step_by(loss_of, self._indices)

    def __call__(self, indices: Tensor) -> Tensor:
        """Replays the step on a batch of the same size."""
        self._indices.copy_(indices)
        self._graph.replay()
        return self._loss


def _seconds(trainer: Trainer, step: Step) -> float:
    """The time of a step, without a trace of it."""
    trainer.network.train()
    indices = torch.arange(trainer.batch_size, device=trainer.device)
    with trainer.trial():
        for _ in range(WARM):
            step(indices)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(TIMED):
            step(indices)
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / TIMED
