"""The targets that scikit-learn's users pass, as label sets and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from tagwise.errors import TagwiseValueError


@dataclass(frozen=True)
class Encoding:
    """Which classes there are, and whether samples have one each or a set of them."""

    classes: NDArray[Any]
    is_multilabel: bool
    dtype: np.dtype[Any]

    @property
    def is_binary(self) -> bool:
        """Whether samples have one of two classes, for which scikit-learn wants one score."""
        return not self.is_multilabel and len(self.classes) == 2

    def decode_best(self, scores: NDArray[np.float64]) -> NDArray[Any]:
        """The class with the largest of its scores ``[N, K]``."""
        best: NDArray[Any] = self.classes[scores.argmax(1)]
        return best

    def decode(self, hot: NDArray[Any]) -> NDArray[Any]:
        """What ``predict`` returns for sets ``[N, K]`` of 0 and 1."""
        if self.is_multilabel:
            return hot.astype(self.dtype)
        best: NDArray[Any] = self.classes[hot.argmax(1)]
        return best


def encode(y: Any) -> tuple[NDArray[np.uint8], Encoding]:
    """Targets ``[N, K]`` of 0 and 1 from an indicator matrix (dense or sparse) or from classes ``[N]``.

    Raises
    ------
    ValueError
        For targets of another kind: continuous ones, several classes per column.
    """
    kind = type_of_target(y, input_name="y")
    if kind == "multilabel-indicator":
        array = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None)
        dense = array.toarray() if hasattr(array, "toarray") else array
        wrong = dense[(dense != 0) & (dense != 1)]
        if wrong.size > 0:
            raise TagwiseValueError(
                f"expected y as an indicator matrix of 0 and 1, found {wrong.flat[0]}"
            )
        encoding = Encoding(np.arange(dense.shape[1]), True, np.dtype(dense.dtype))
        return dense.astype(np.uint8), encoding
    if kind not in ("binary", "multiclass"):
        raise TagwiseValueError(
            f"Unknown label type: {kind}. expected y as an indicator matrix [N, K] of 0 and 1 or as "
            "one class for each sample"
        )
    column = column_or_1d(y, warn=True)
    classes, positions = np.unique(column, return_inverse=True)
    hot = np.zeros((len(column), len(classes)), np.uint8)
    hot[np.arange(len(column)), positions] = 1
    return hot, Encoding(classes, False, np.dtype(column.dtype))


def sets_to_array(sets: Any) -> NDArray[np.uint8]:
    """Label sets as 0 and 1, ``[N, K]``."""
    return np.asarray(sets, dtype=np.uint8)
