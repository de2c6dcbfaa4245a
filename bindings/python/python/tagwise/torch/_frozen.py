"""A model as it is when nothing trains, and everything back as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, no autocast, no TF32, nothing compiled; then all as before.

    Low precision falsifies NC1: where features have gathered at their means, what is left of their
    spread is rounding. The state of every generator of random numbers that a loader may use is put
    back too, so that training goes on with the same bits as if nothing had been measured.
    """
    training = [(module, module.training) for module in model.modules()]
    states = random.getstate(), np.random.get_state()
    with ExitStack() as stack:
        stack.enter_context(_full_precision())
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        for kind in {"cpu", *(parameter.device.type for parameter in model.parameters())} - {"meta"}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        try:
            model.eval()
            yield
        finally:
            for module, flag in training:
                module.training = flag
            random.setstate(states[0])
            np.random.set_state(states[1])


def precision_places() -> list[Any]:
    """All switches for the precision of f32 products, from PyTorch 2.9 on. PyTorch asks for some of them
    together, and gives up where they differ."""
    backends: Any = torch.backends
    return [
        backends,
        backends.cuda.matmul,
        backends.cudnn,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.mkldnn,
        backends.mkldnn.matmul,
        backends.mkldnn.conv,
        backends.mkldnn.rnn,
    ]


@contextmanager
def _full_precision() -> Iterator[None]:
    """Products of f32 numbers in f32, wherever PyTorch has a switch for it."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):  # before PyTorch 2.9
        with _old_switches():
            yield
        return
    places = precision_places()
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


@contextmanager
def _old_switches() -> Iterator[None]:
    precision = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = convolutions
