"""The pick-all-labels loss and those it is compared with, on NumPy arrays in f64."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _core, _settings
from ._inputs import as_matrix, as_targets, as_vector
from .errors import TagwiseTypeError, TagwiseValueError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LOSSES", "LossInfo", "loss_and_gradient"]


class LossInfo(NamedTuple):
    """A line of the table of losses."""

    #: The short name.
    name: str
    #: What it is called in text.
    title: str
    #: One line about it.
    about: str
    #: What its logits mean: "softmax", one probability that labels share, or "sigmoid", one for each.
    link: str
    #: Whether it is a sum of one term for each label.
    is_separable: bool
    #: Its parameters, with the values that its authors recommend.
    parameters: dict[str, Any]


#: Every loss.
LOSSES: tuple[LossInfo, ...] = tuple(LossInfo(**line) for line in json.loads(_core.losses()))


def settings(loss: Any, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A loss by name or as a mapping with a `name`, as the library's settings hold it."""
    given = dict(parameters or {})
    if isinstance(loss, Mapping):
        given = {**loss, **given}
        loss = given.pop("name", None)
    for key, value in given.items():
        if key == "max_multiplicity" and value is not None:
            given[key] = _settings.whole(key, value)
        elif not isinstance(value, str) and value is not None:
            given[key] = _settings.number(key, value)
    name = _settings.word("loss", loss)
    made: dict[str, Any] = json.loads(_core.loss_settings(name, _settings.text(given)))
    return made


def loss_and_gradient(
    logits: Any,
    targets: Any,
    loss: str | Mapping[str, Any] = "pal",
    *,
    class_weight: Any = None,
    reduction: Literal["none", "sum", "mean"] = "none",
    **parameters: Any,
) -> tuple[Any, NDArray[np.float64]]:
    """A loss of each sample and its exact gradient with respect to the logits.

    All losses are computed from logits through log-softmax or log-sigmoid. An empty label set has
    pick-all-labels loss 0 with gradient 0.

    Parameters
    ----------
    logits
        [N, K]; −∞ leaves a label out.
    targets
        N label sets in any form of `LabelSets`.
    loss
        A name of `LOSSES`: "pal", Σ_{k∈S} −log p_k with p = softmax(z); "pal-n", the same divided by |S|;
        "bce", "focal", "asl", "zlpr" and others; or a mapping with a `name` and parameters.
    class_weight
        [K], positive: what label k costs by being in the set counts so many times.
    reduction
        "none" for values [N] and the gradient of each sample; "sum" or "mean" for one number and its gradient.
    **parameters
        Parameters of the loss, as `LossInfo.parameters` lists them.

    Returns
    -------
    tuple
        The values [N], or one number, and the gradient [N, K].

    Raises
    ------
    TagwiseValueError
        When sizes disagree, for NaN and +∞, and for a name, a parameter or a weight that the loss does not have.

    Examples
    --------
    >>> import tagwise
    >>> value, gradient = tagwise.loss_and_gradient([[0.0, 0.0, 0.0]], [[0, 2]])
    >>> round(float(value[0]), 4), gradient.round(4).tolist()  # 2 log 3
    (2.1972, [[-0.3333, 0.6667, -0.3333]])

    References
    ----------
    Li, Li, Wang and Qu 2024 (arXiv 2310.15903), equation 2; Lin et al. 2017 (arXiv 1708.02002); Ridnik et al.
    2021 (arXiv 2009.14119); Su et al. 2022 (arXiv 2208.02955).
    """
    matrix = as_matrix(logits, "logits", "[N, K]")
    _check_logits(matrix)
    sets = as_targets(targets, num_classes=matrix.shape[1] or None)
    values, gradient = _core.loss_and_gradient(
        matrix,
        sets._inner,
        _settings.text(settings(loss, parameters)),
        None if class_weight is None else as_vector(class_weight, "class_weight"),
    )
    if reduction == "none":
        return values, gradient
    if reduction == "sum":
        return float(values.sum()), gradient
    if reduction == "mean":
        # Of no sample the mean is 0, as for the batches of the library.
        count = max(len(values), 1)
        return float(values.sum() / count), gradient / count
    if not isinstance(reduction, str):
        raise TagwiseTypeError(f"expected `reduction` as a text, found {reduction!r}")
    raise TagwiseValueError(f"expected `reduction` 'none', 'sum' or 'mean', found {reduction!r}")


def _check_logits(matrix: NDArray[np.float64]) -> None:
    """Refuses logits that have no loss."""
    import numpy as np

    wrong = ~(matrix < np.inf)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise TagwiseValueError(
            f"expected `logits` below infinity, found {matrix[row, column]} at row {row}, column {column}"
        )
