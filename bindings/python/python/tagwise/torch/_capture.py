"""Features as they pass through a module."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tagwise.errors import TagwiseError, TagwiseValueError

Capture = Literal["output", "input"]
Pool = Callable[[Any], Tensor]


class FeatureCapture:
    """Copies of what a module gave, or was given, in its last call, ``[B, d]``.

    The copy is made inside the call: a layer that works in place comes too late to change it. It
    stays on the device, and nothing waits for it.
    """

    def __init__(self, module: nn.Module, capture: Capture, pool: Pool | None) -> None:
        self._module = module
        self._capture = capture
        self._pool = pool
        self._handle: Any = None
        self._taken: Tensor | None = None
        self._calls = 0
        #: The type in which the network computed them.
        self.dtype: torch.dtype | None = None

    def __enter__(self) -> FeatureCapture:
        if self._handle is None:
            register = (
                self._module.register_forward_pre_hook
                if self._capture == "input"
                else self._module.register_forward_hook
            )
            self._handle = register(self._hook)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._taken = None
        self._calls = 0

    @property
    def is_attached(self) -> bool:
        """Whether it listens."""
        return self._handle is not None

    @property
    def num_calls(self) -> int:
        """Calls of the module since features were taken."""
        return self._calls

    def take(self) -> Tensor:
        """The features of the last call, which are then forgotten.

        Raises
        ------
        TagwiseError
            When the module was not called since.
        """
        features, self._taken, self._calls = self._taken, None, 0
        if features is None:
            raise TagwiseError(
                f"no features came from the module {type(self._module).__name__}: it was not called, or "
                "it is part of a model that was compiled before the monitor listened; make the "
                "monitor, and start it, before the first compiled step"
            )
        return features

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _hook(self, _: nn.Module, given: tuple[Any, ...], *output: Any) -> None:
        value = output[-1] if output else self._only(given)
        self._taken = self._rows(value)
        self._calls += 1

    @staticmethod
    def _only(given: tuple[Any, ...]) -> Any:
        if not given:
            raise TagwiseValueError("expected the module to be called with an unnamed argument, found none")
        return given[0]

    def _rows(self, value: Any) -> Tensor:
        with torch.no_grad():
            rows = value if self._pool is None else self._pool(value)
        if not isinstance(rows, Tensor):
            raise TagwiseValueError(
                f"expected a tensor of features, found {type(rows).__name__}; say with pool= which "
                "part of it they are, for example pool=lambda output: output.last_hidden_state[:, 0]"
            )
        if rows.ndim < 2 or rows[0:1].numel() != (rows.shape[1] if len(rows) else 0):
            raise TagwiseValueError(
                f"expected features of shape [B, d], found {list(rows.shape)}; say with pool= how "
                "they become one row for each sample, for example pool=lambda h: h.mean((2, 3))"
            )
        self.dtype = rows.dtype
        wide = torch.float64 if rows.dtype is torch.float64 else torch.float32
        return rows.detach().flatten(1).to(wide, copy=True)
