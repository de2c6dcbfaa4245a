"""Losses, a fixed ETF head and a monitor of collapse for PyTorch.

>>> from tagwise.torch import PickAllLabelsLoss, SimplexETFClassifier
>>> head, loss = SimplexETFClassifier(10, in_features=10), PickAllLabelsLoss(weighting="mean")
"""

from __future__ import annotations

from tagwise._missing import need

need("torch", extra="torch", module="tagwise.torch")

from tagwise.torch import functional  # noqa: E402
from tagwise.torch.batches import Batch, Indexed, read_batch  # noqa: E402
from tagwise.torch.distributed import is_distributed, merge_statistics  # noqa: E402
from tagwise.torch.etf import SimplexETFClassifier, nearest_simplex_etf, simplex_etf  # noqa: E402
from tagwise.torch.losses import (  # noqa: E402
    LOSSES,
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    FocalLoss,
    MultilabelLoss,
    PickAllLabelsLoss,
    ZlprLoss,
    named_loss,
)
from tagwise.torch.monitor import CollapseMeasurement, CollapseMonitor  # noqa: E402
from tagwise.torch.weights import LabelSetWeights, balanced_class_weight  # noqa: E402

__all__ = [
    "LOSSES",
    "AsymmetricLoss",
    "Batch",
    "BinaryCrossEntropyLoss",
    "CollapseMeasurement",
    "CollapseMonitor",
    "FocalLoss",
    "Indexed",
    "LabelSetWeights",
    "MultilabelLoss",
    "PickAllLabelsLoss",
    "SimplexETFClassifier",
    "ZlprLoss",
    "balanced_class_weight",
    "functional",
    "is_distributed",
    "merge_statistics",
    "named_loss",
    "nearest_simplex_etf",
    "read_batch",
    "simplex_etf",
]
