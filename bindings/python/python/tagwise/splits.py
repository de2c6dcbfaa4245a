"""Splits in which every label keeps its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _core, _settings
from ._inputs import as_targets, as_vector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["stratified_folds"]


def stratified_folds(
    targets: Any, shares: Sequence[float], *, seed: int = 0, num_classes: int | None = None
) -> NDArray[np.int64]:
    """Deals samples into folds so that each label is dealt in these shares, as far as whole samples allow.

    The label with the fewest samples left is dealt first, each of its samples to the fold that lacks it
    most. The same seed gives the same folds.

    Parameters
    ----------
    targets
        N label sets in any form of `LabelSets`.
    shares
        The size of each fold, relative to the others.
    seed
        Seed of the order of the samples.

    Returns
    -------
    numpy.ndarray
        The fold of each sample, [N].

    Raises
    ------
    TagwiseValueError
        Unless there is a share and all are positive.

    Examples
    --------
    >>> import tagwise
    >>> folds = tagwise.stratified_folds([[0], [0], [0, 1], [1], [0], [0], [0, 1], [1]], [0.5, 0.5])
    >>> sorted(folds[[2, 3, 6, 7]].tolist())  # of the four samples with label 1, two in each
    [0, 0, 1, 1]

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data".
    """
    sets = as_targets(targets, num_classes=num_classes)
    return _core.stratified_folds(
        sets._inner, as_vector(shares, "shares", "[folds]").tolist(), _settings.whole("seed", seed)
    )
