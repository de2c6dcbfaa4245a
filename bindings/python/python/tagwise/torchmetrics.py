"""Collapse as a metric of torchmetrics."""

from __future__ import annotations

from typing import Any, Literal

from tagwise._missing import need

need("torch", extra="torchmetrics", module="tagwise.torchmetrics")
need("torchmetrics", extra="torchmetrics", module="tagwise.torchmetrics")

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torchmetrics import Metric  # noqa: E402

from tagwise import Statistics  # noqa: E402
from tagwise.torch._absorb import to_numpy  # noqa: E402

__all__ = ["MultilabelCollapse"]


class MultilabelCollapse(Metric):
    """Metrics of multi-label neural collapse of features, summed in f64 on the host.

    ``compute`` gives a dictionary of scalars, ``nc1_m1``, ``nc2_class_means``, ``nc_m2``, …, so that
    ``MetricCollection`` and Lightning's ``log_dict`` take it. The state is the bytes of
    :class:`tagwise.Statistics`: it merges exactly (``merge_state``), over processes too.

    Measure a network that is frozen (evaluation mode, no autocast): see
    :class:`tagwise.torch.CollapseMonitor`, which does that.

    Parameters
    ----------
    num_classes, dim
        K and d.
    weight, bias
        The classifier ``[K, d]`` and ``[K]``, for NC2 and NC3; may be set later with
        :meth:`set_classifier`.
    scatter
        ``"full"`` keeps d² numbers for each multiplicity, which NC1 needs; ``"trace"`` does not.
    kwargs
        As for every ``torchmetrics.Metric``.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torchmetrics import MultilabelCollapse
    >>> metric = MultilabelCollapse(num_classes=3, dim=3)
    >>> metric.update(torch.eye(3).repeat(2, 1), torch.eye(3).repeat(2, 1))
    >>> metric.compute()["nc1_m1"]
    tensor(0., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(
        self,
        num_classes: int,
        dim: int,
        *,
        weight: Any = None,
        bias: Any = None,
        scatter: Literal["full", "trace"] = "full",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.dim, self.scatter = num_classes, dim, scatter
        self._live: Statistics | None = Statistics(num_classes, dim, scatter=scatter)
        self._state: list[Tensor] = []
        self.add_state("parts", [], dist_reduce_fx=None)
        self.set_classifier(weight, bias)

    def set_classifier(self, weight: Any, bias: Any = None) -> None:
        """The classifier that the next ``compute`` compares with; ``None`` for none."""
        self._weight, self._bias = to_numpy(weight), to_numpy(bias)
        self._computed = None

    @property
    def parts(self) -> list[Tensor]:
        """The state of torchmetrics: bytes of statistics, always as one tensor until it merges.

        Batches are summed in memory and turned into bytes when somebody asks.
        """
        if self._live is not None:
            self._state[:] = [_tensor(self._merged().to_bytes(), self.device)]
            self._live = None
        elif not self._state:
            self._state.append(_tensor(self._empty().to_bytes(), self.device))
        return self._state

    @parts.setter
    def parts(self, value: list[Tensor]) -> None:
        self._state = list(value)
        self._live = None

    def update(self, features: Tensor, targets: Any) -> None:
        """Absorbs features ``[B, d]`` and targets ``[B, K]`` of 0 and 1 or class numbers ``[B]``."""
        self._live = self._merged().update(to_numpy(features), to_numpy(targets))
        self._state = []

    def compute(self) -> dict[str, Tensor]:
        """The metrics that have a value."""
        report = self._merged().collapse(weight=self._weight, bias=self._bias)
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in report.scalars().items()
        }

    def statistics(self) -> Statistics:
        """What was absorbed here; merges with that of others."""
        return self._merged().copy()

    def __getstate__(self) -> dict[str, Any]:
        _ = self.parts  # bytes are what is kept
        return super().__getstate__()

    def _merged(self) -> Statistics:
        """All parts and what was absorbed since as one."""
        parts = [Statistics.from_bytes(_bytes(part)) for part in self._state]
        if self._live is not None:
            parts.append(self._live)
        whole = parts[0] if parts else self._empty()
        for part in parts[1:]:
            whole.merge(part)
        return whole

    def _empty(self) -> Statistics:
        return Statistics(self.num_classes, self.dim, scatter=self.scatter)


def _tensor(data: bytes, device: torch.device) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).to(device)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().numpy().tobytes()
