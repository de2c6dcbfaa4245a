"""The unconstrained feature model: which geometry is optimal for given labels, with proof."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import _core, _settings
from ._figures import WithPage, by_multiplicity, frame
from ._inputs import as_matrix, as_targets, as_vector
from .errors import TagwiseTypeError, TagwiseValueError
from .labels import LabelSets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["UfmSolution", "ufm"]


class UfmSolution(WithPage):
    """A solved unconstrained feature model: the optimum with a proof of how far it is from the global one.

    `print(solution)` shows the tables of `tagwise ufm`, a notebook its page.
    """

    def __init__(self) -> None:
        raise TagwiseTypeError("solutions come from tagwise.ufm")

    _inner: _core.UfmSolution
    _question: str

    @classmethod
    def _of(cls, core: _core.UfmSolution, question: str) -> UfmSolution:
        made = cls.__new__(cls)
        made._inner = core
        made._question = question
        made._figures = json.loads(core.figures)
        return made

    def _make_page(self) -> _core.Page:
        return self._inner.page()

    def _make_text(self) -> str:
        return self._inner.text

    @property
    def value(self) -> float:
        """The objective at the optimum."""
        return float(self._figures["value"])

    @property
    def lower_bound(self) -> float:
        """No point has a lower objective."""
        return float(self._figures["dual_value"])

    @property
    def gap(self) -> float:
        """The distance of both as a part of the value."""
        return float(self._figures["relative_gap"])

    @property
    def verdict(self) -> str:
        """"certified" where value and lower bound agree to a part in 10⁹, else "not-certified"."""
        return str(self._figures["verdict"])

    @property
    def method(self) -> str:
        """"closed-form" or "solver"."""
        return str(self._figures["method"])

    @property
    def weight(self) -> NDArray[np.float64]:
        """The optimal classifier W, [K, d].

        Raises
        ------
        TagwiseValueError
            When there are too many label sets to write the point out; so for `bias` and `means`.
        """
        return self._inner.weight()

    @property
    def W(self) -> NDArray[np.float64]:
        """The same."""
        return self._inner.weight()

    @property
    def bias(self) -> NDArray[np.float64]:
        """The optimal bias, [K]; zeros for a problem without."""
        return self._inner.bias()

    @property
    def means(self) -> NDArray[np.float64]:
        """The optimal feature of each label set, [L, d], in the order of `label_sets`."""
        return self._inner.means()

    @property
    def potentials(self) -> NDArray[np.float64]:
        """The potentials c_0, …, c_M of the set likelihood, [M + 1]; none with the other losses."""
        return self._inner.potentials()

    @property
    def label_sets(self) -> LabelSets:
        """The L distinct label sets with a label, and with the set likelihood the empty one where it occurs, by
        multiplicity and then in order."""
        return LabelSets._of(self._inner.label_sets())

    @property
    def counts(self) -> NDArray[np.float64]:
        """The number of samples of each, [L]."""
        return self._inner.counts()

    @property
    def constants(self) -> dict[int, float]:
        """C_m by multiplicity, of h_S = C_m Σ_{k∈S} w_k: exact for balanced data, the best fit otherwise."""
        return by_multiplicity(self._figures["constants"])

    @property
    def label_mass(self) -> dict[int, float]:
        """The softmax probability of the true labels by multiplicity; with the set likelihood p(S)."""
        return by_multiplicity(self._figures["label_mass"])

    def to_pandas(self) -> Any:
        """A data frame with one row for each multiplicity: C_m and the label mass; needs pandas."""
        mass = self.label_mass
        return frame(
            [
                {"multiplicity": m, "constant": constant, "label_mass": mass.get(m)}
                for m, constant in self.constants.items()
            ]
        )

    def save_point(self, path: Any) -> None:
        """Writes features, targets and classifier as safetensors, as `tagwise ufm --save` does; `tagwise analyze` reads
        them."""
        self._inner.save(_settings.path(path))

    def save(self, path: Any) -> None:
        """Writes the bytes to a file, complete or not at all."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any) -> UfmSolution:
        """What `save` wrote."""
        return _settings.load(path, cls.from_bytes)

    def to_bytes(self) -> bytes:
        """The solution with its page and point as bytes."""
        try:
            page: str | None = self._inner.page().to_json()
        except TagwiseValueError:
            page = None
        try:
            arrays = (self.weight, self.means, self.bias, self.potentials)
            point: list[Any] | None = [array.tolist() for array in arrays]
        except TagwiseValueError:
            point = None
        state = {"question": self._question, "figures": self._inner.figures, "text": self._inner.text}
        return _settings.text({**state, "page": page, "point": point}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> UfmSolution:
        """What `to_bytes` gave."""
        state = _settings.parsed("a solved model", _settings.data(data))
        try:
            point = [*(state["point"] or []), None, None, None, None][:4]
            weight, means = (None if rows is None else as_matrix(rows, "point") for rows in point[:2])
            bias, potentials = (None if values is None else as_vector(values, "point") for values in point[2:])
            core = _core.UfmSolution.restore(
                state["question"], state["figures"], state["text"], state["page"], weight, means, bias, potentials
            )
        except (KeyError, TypeError, IndexError):
            raise TagwiseValueError("expected the bytes of a solved model, found something else") from None
        return cls._of(core, state["question"])

    def __reduce__(self) -> tuple[Any, ...]:
        return UfmSolution.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return (
            f"UfmSolution({self._figures['num_classes']} classes, d = {self._figures['dim']}: "
            f"value {self.value:.9g}, relative gap {self.gap:.1e}, {self.method})"
        )


def ufm(
    targets: Any = None,
    *,
    num_classes: int | None = None,
    counts: Mapping[Any, float] | None = None,
    totals: Mapping[int, float] | None = None,
    dim: int | None = None,
    loss: Literal["pick-all-labels", "set-likelihood"] = "pick-all-labels",
    weighting: Literal["sum", "mean"] = "sum",
    multiplicities: Literal["constant", "none"] = "constant",
    max_multiplicity: int | None = None,
    lambda_w: float = 5e-3,
    lambda_h: float | None = None,
    lambda_b: float = 1e-3,
    lambda_c: float = 1e-3,
    bias: Literal["decayed", "free", "none"] = "decayed",
    features: Literal["free", "non-negative"] = "free",
    classifier: Literal["learned", "fixed-etf"] = "learned",
    method: Literal["auto", "solver"] = "auto",
    gap: float = 1e-9,
    max_steps: int = 2000,
    class_names: Sequence[str] | None = None,
) -> UfmSolution:
    """Solves the unconstrained feature model for a label distribution: the whole of `tagwise ufm`.

    min over W, H, b of (1/N) Σᵢ L(W hᵢ + b, Sᵢ) + λ_W‖W‖² + λ_H Σᵢ‖hᵢ‖² + λ_b‖b‖² with the pick-all-labels loss L,
    or with the set likelihood and the learned potentials c of its multiplicities, λ_c‖c‖² added: the geometry that
    the end of training tends to. Data balanced within multiplicities have a closed form; any other
    distribution is solved until the gap to a rigorous lower bound is small.

    Parameters
    ----------
    targets
        Label sets in any form of `LabelSets`; or one of the next two, with `num_classes`.
    counts
        Samples of each label set, by multiplicity, {1: 3100, 2: 200}, or by label set, {(0,): 16, (0, 2): 2}.
    totals
        Samples of each multiplicity, spread evenly over its label sets.
    dim
        Feature dimension d; K when absent.
    loss
        "pick-all-labels" or "set-likelihood".
    weighting
        Of pick-all-labels: the "sum" over the labels of a sample (PAL), or their "mean" (PAL-N).
    multiplicities, max_multiplicity
        Of the set likelihood: a "constant" potential learned for each multiplicity or "none", and the largest
        multiplicity that has a probability, the largest that occurs when absent.
    lambda_w, lambda_h, lambda_b, lambda_c
        Decays; λ_H = 5e-3·K/N when absent.
    bias
        "decayed", "free" of decay, or "none".
    features
        "free", or "non-negative" as after a rectifier.
    classifier
        "learned", or "fixed-etf" for a simplex ETF of unit rows.
    method
        "auto" takes the closed form where there is one, "solver" never does.
    gap, max_steps
        The relative gap to stop at, and the most Newton steps.

    Raises
    ------
    TagwiseValueError
        For counts and decays that make no sense, and for problems too large to write out.

    Examples
    --------
    >>> import tagwise
    >>> solution = tagwise.ufm(num_classes=5, counts={1: 2, 2: 1, 3: 1})
    >>> round(solution.value, 9), solution.method
    (1.795429834, 'closed-form')
    >>> solution = tagwise.ufm([[0], [1], [0, 1], [2]], loss="set-likelihood")
    >>> solution.verdict, solution.potentials.shape
    ('certified', (3,))

    References
    ----------
    Li, Li, Wang and Qu 2024 (arXiv 2310.15903), equation 4.
    """
    names = _settings.names(class_names)
    labels, classes, own_names = _labels(targets, counts, totals, num_classes, names)
    settings = {
        "dim": None if dim is None else _settings.whole("dim", dim),
        "loss": _loss(loss, weighting, multiplicities, max_multiplicity),
        "lambda-w": _settings.number("lambda_w", lambda_w),
        "lambda-h": None if lambda_h is None else _settings.number("lambda_h", lambda_h),
        "bias": {"decayed": _settings.number("lambda_b", lambda_b)}
        if bias == "decayed"
        else _settings.word("bias", bias),
        "lambda-c": _settings.number("lambda_c", lambda_c),
        "classifier": _settings.word("classifier", classifier),
        "features": _settings.word("features", features),
    }
    solver = {
        "method": _settings.word("method", method),
        "gap": _settings.number("gap", gap),
        "max_steps": _settings.whole("max_steps", max_steps),
    }
    question = _settings.text({"num_classes": classes, "labels": labels, "settings": settings})
    core = _core.UfmSolution.solve(question, _settings.text(solver), names if names is not None else own_names)
    return UfmSolution._of(core, question)


def _loss(loss: Any, weighting: Any, multiplicities: Any, max_multiplicity: Any) -> dict[str, Any]:
    """The loss as an experiment file has it."""
    name = _settings.word("loss", loss)
    if name != "set-likelihood" and (multiplicities != "constant" or max_multiplicity is not None):
        raise TagwiseValueError(
            f'expected `multiplicities` and `max_multiplicity` with loss="set-likelihood", found "{name}"'
        )
    if name == "pick-all-labels":
        if _settings.word("weighting", weighting) not in ("sum", "mean"):
            raise TagwiseValueError(f'expected `weighting` to be sum or mean, found "{weighting}"')
        return {"name": name, "weighting": weighting}
    if weighting != "sum":
        raise TagwiseValueError(f'expected `weighting` with loss="pick-all-labels", found {name!r}')
    most = None if max_multiplicity is None else _settings.whole("max_multiplicity", max_multiplicity)
    if name != "set-likelihood":
        return {"name": name}
    return {"name": name, "multiplicities": _settings.word("multiplicities", multiplicities), "max_multiplicity": most}


def _labels(
    targets: Any, counts: Any, totals: Any, num_classes: Any, names: list[str] | None
) -> tuple[dict[str, Any], int, list[str] | None]:
    """How often label sets occur, the number of classes, and their names where the targets say them."""
    given = [name for name, value in (("targets", targets), ("counts", counts), ("totals", totals)) if value is not None]
    if len(given) != 1:
        raise TagwiseValueError(
            f"expected one of `targets`, `counts` and `totals`, found {' and '.join(given) or 'none'}"
        )
    if targets is not None:
        sets = as_targets(targets, num_classes=num_classes, class_names=names)
        pairs = [[list(labels), count] for labels, count in sets.counts().items()]
        return {"sets": pairs}, sets.num_classes, None if sets.class_names is None else list(sets.class_names)
    name, mapping = ("counts", counts) if totals is None else ("totals", totals)
    if not isinstance(mapping, Mapping):
        raise TagwiseTypeError(f"expected `{name}` as a mapping to numbers of samples, found {type(mapping).__name__}")
    if num_classes is None and names is None:
        raise TagwiseValueError(f"expected `num_classes` beside `{name}`, found none")
    classes = len(names) if num_classes is None and names is not None else _settings.whole("num_classes", num_classes)
    numbers = [_settings.number(name, count) for count in mapping.values()]
    if counts is not None and any(isinstance(key, (tuple, frozenset)) for key in mapping):
        sets = as_targets(list(mapping), "counts", num_classes=classes, class_names=names)
        return {"sets": [list(pair) for pair in zip(sets.to_lists(), numbers, strict=True)]}, classes, None
    kind = "balanced" if totals is None else "totals"
    multiplicities = [_settings.whole(name, multiplicity) for multiplicity in mapping]
    return {kind: [list(pair) for pair in zip(multiplicities, numbers, strict=True)]}, classes, None
