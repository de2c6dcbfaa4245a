"""From batches on a device to statistics on the host, without waiting for the device."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

from tagwise import Statistics
from tagwise.torch._device_sums import DeviceSums

#: Batches that may lie in page-locked memory before the oldest is waited for.
QUEUE = 8


class HostAbsorber:
    """Sends features to the host in their own precision; the library sums them there in f64.

    Copies from an accelerator go through page-locked memory behind the work already queued there,
    and are absorbed when an event says that they have arrived.
    """

    def __init__(self, num_classes: int, dim: int, scatter: str) -> None:
        self._statistics = Statistics(num_classes, dim, scatter=scatter)  # type: ignore[arg-type]
        self._waiting: deque[tuple[Tensor, Any, Any]] = deque()

    def update(self, features: Tensor, targets: Any) -> None:
        """Absorbs rows ``[B, d]``."""
        if features.device.type != "cuda":
            self._statistics.update(to_numpy(features), to_numpy(targets))
            return
        host, event = _copy(features), torch.cuda.Event()  # type: ignore[no-untyped-call]
        if isinstance(targets, Tensor) and targets.device.type == "cuda":
            targets = _copy(targets)
        event.record(torch.cuda.current_stream(features.device))
        self._waiting.append((host, targets, event))
        while self._waiting and (len(self._waiting) > QUEUE or self._waiting[0][2].query()):
            self._absorb_oldest()

    def _absorb_oldest(self) -> None:
        features, targets, event = self._waiting.popleft()
        event.synchronize()
        self._statistics.update(to_numpy(features), to_numpy(targets))

    def statistics(self) -> Statistics:
        """Everything absorbed so far."""
        while self._waiting:
            self._absorb_oldest()
        return self._statistics


class DeviceAbsorber:
    """Sums on the device, which leave it once at the end: for features too many to move."""

    def __init__(self, num_classes: int, dim: int, scatter: str) -> None:
        self._sums = DeviceSums(num_classes, dim, scatter)

    def update(self, features: Tensor, targets: Any) -> None:
        """Absorbs rows ``[B, d]``. Targets on the device are waited for: give them on the host."""
        self._sums.update(features, to_numpy(targets))

    def statistics(self) -> Statistics:
        """Everything absorbed so far."""
        return self._sums.statistics()


def to_numpy(value: Any) -> Any:
    """A tensor as an array; everything else as it is."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()


def _copy(tensor: Tensor) -> Tensor:
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)
