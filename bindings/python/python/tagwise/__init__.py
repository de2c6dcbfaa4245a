"""Multi-label neural collapse from Python: measure it, predict it, decode by it.

The mathematics is compiled; arrays are read where they lie. N samples, K classes, d dimensions:

>>> import numpy as np
>>> import tagwise
>>> etf = tagwise.simplex_etf(3, 3)
>>> H = np.vstack([etf, 0.8 * (etf[0] + etf[1])])  # a tag-wise average
>>> report = tagwise.analyze(H, [[0], [1], [2], [0, 1]], weight=etf)
>>> report.nc2.class_means < 1e-12, report.nc3 < 1e-12
(True, True)

`tagwise.torch`, `tagwise.lightning`, `tagwise.transformers`, `tagwise.torchmetrics` and `tagwise.sklearn` are
imported when they are first used, and only they need these libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._core import __version__, get_num_threads
from ._threads import set_num_threads
from .collapse import CollapseReport, Headline, Nc2, analyze
from .decoders import Decoded, Decoder, OneNearestNeighbour
from .errors import (
    TagwiseError,
    TagwiseFileError,
    TagwiseFileNotFoundError,
    TagwiseTypeError,
    TagwiseValueError,
)
from .geometry import simplex_etf, simplex_etf_error
from .head import Head, fit
from .labels import LabelSets
from .losses import LOSSES, LossInfo, loss_and_gradient
from .measures import Evaluation, EvaluationCounts, evaluate
from .model import UfmSolution, ufm
from .rules import LogitRule
from .splits import stratified_folds
from .statistics import Statistics

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "LOSSES",
    "CollapseReport",
    "Decoded",
    "Decoder",
    "Evaluation",
    "EvaluationCounts",
    "Head",
    "Headline",
    "LabelSets",
    "LogitRule",
    "LossInfo",
    "Nc2",
    "OneNearestNeighbour",
    "Statistics",
    "TagwiseError",
    "TagwiseFileError",
    "TagwiseFileNotFoundError",
    "TagwiseTypeError",
    "TagwiseValueError",
    "UfmSolution",
    "__version__",
    "analyze",
    "evaluate",
    "fit",
    "get_num_threads",
    "loss_and_gradient",
    "set_num_threads",
    "simplex_etf",
    "simplex_etf_error",
    "stratified_folds",
    "ufm",
]

#: Modules that need more than NumPy, imported when first used.
_LAZY = ("experiment", "lightning", "sklearn", "torch", "torchmetrics", "transformers")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_LAZY]
