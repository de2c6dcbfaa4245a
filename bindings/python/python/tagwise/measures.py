"""Predicted against true label sets, by scikit-learn's definitions and names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import _core, _settings
from ._figures import frame
from ._inputs import as_matrix, as_targets
from .errors import TagwiseTypeError, TagwiseValueError
from .labels import LabelSets

__all__ = ["Evaluation", "EvaluationCounts", "evaluate"]


class Evaluation(Mapping[str, float]):
    """Measures by name: `measures["f1_micro"]`, `measures.f1_micro`, `dict(measures)`.

    Measures of label sets are `subset_accuracy` (exact match), `empty_matches` (the share of samples without a label
    that are answered so, which F1 and its like count as 0), `hamming_loss`, and `precision_*`, `recall_*`, `f1_*`
    and `jaccard_*` over `samples`, `micro`, `macro` and `weighted`; with logits also `label_mass`, the probability
    that softmax gives to the true set, and those of ranking: `average_precision_macro`, `coverage_error`,
    `ranking_loss`, `label_ranking_average_precision`, `ndcg_at_3` and others. Where a ratio is 0/0 it is 0,
    scikit-learn's default.
    """

    __slots__ = ("_figures", "_measures")

    _figures: dict[str, Any]
    _measures: dict[str, float]

    def __init__(self) -> None:
        raise TagwiseTypeError("evaluations come from tagwise.evaluate and EvaluationCounts.finish")

    @classmethod
    def _of(cls, text: str) -> Evaluation:
        made = cls.__new__(cls)
        made._figures = json.loads(text)
        made._measures = {
            name: value
            for part in (made._figures, made._figures.get("ranking") or {})
            for name, value in part.items()
            if isinstance(value, float)
        }
        return made

    @property
    def num_samples(self) -> int:
        """Number of samples N."""
        return int(self._figures["num_samples"])

    @property
    def per_label(self) -> list[dict[str, Any]]:
        """For each label how often it is true and predicted, its precision, recall and F1."""
        return [dict(line) for line in self._figures["labels"]]

    def to_dict(self) -> dict[str, Any]:
        """Everything under the keys of `tagwise evaluate --json`."""
        copied: dict[str, Any] = json.loads(self.to_json())
        return copied

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self._figures)

    def to_pandas(self) -> Any:
        """A data frame with one row for each measure; needs pandas."""
        return frame([{"measure": name, "value": value} for name, value in self.items()])

    def to_bytes(self) -> bytes:
        """The evaluation as bytes (JSON)."""
        return self.to_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Evaluation:
        """What `to_bytes` gave."""
        figures = _settings.parsed("an evaluation", _settings.data(data))
        if not isinstance(figures, dict) or not {"num_samples", "labels", "subset_accuracy"} <= figures.keys():
            raise TagwiseValueError("expected the bytes of an evaluation, found something else")
        return cls._of(json.dumps(figures))

    def save(self, path: Any) -> None:
        """Writes the bytes to a file (.json), complete or not at all."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any) -> Evaluation:
        """What `save` wrote."""
        return _settings.load(path, cls.from_bytes)

    def __getitem__(self, name: str) -> float:
        return self._measures[name]

    def __getattr__(self, name: str) -> float:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._measures[name]
        except KeyError:
            raise AttributeError(f"expected one of the measures {', '.join(self)}, found {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._measures)

    def __len__(self) -> int:
        return len(self._measures)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __reduce__(self) -> tuple[Any, ...]:
        return Evaluation._of, (self.to_json(),)

    def __str__(self) -> str:
        return "\n".join(f"{name:<32} {value:.4f}" for name, value in self.items())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{name}</td><td>{value:.4f}</td></tr>" for name, value in self.items())
        return f"<table><caption>{self.num_samples} samples</caption>{rows}</table>"

    def __repr__(self) -> str:
        shown = ("subset_accuracy", "hamming_loss", "jaccard_samples", "f1_micro", "f1_macro")
        values = ", ".join(f"{name} = {self[name]:.4f}" for name in shown)
        return f"Evaluation({self.num_samples} samples: {values})"


def evaluate(
    sets: Any,
    targets: Any,
    logits: Any = None,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """Compares predicted with true label sets: the whole of `tagwise evaluate`.

    Parameters
    ----------
    sets
        N predicted label sets in any form of `LabelSets`.
    targets
        The true ones.
    logits
        [N, K], for the measures of ranking.
    num_classes, class_names
        K and what the classes are called, where neither says it.

    Raises
    ------
    TagwiseValueError
        When sizes disagree, without a sample, and for logits that are not finite.

    Examples
    --------
    >>> import tagwise
    >>> measures = tagwise.evaluate([[0], [2]], [[0, 1], [2]])
    >>> measures.subset_accuracy, measures["jaccard_samples"]
    (0.5, 0.75)
    """
    predicted, truth = _pair(sets, targets, num_classes, class_names)
    return Evaluation._of(
        _core.evaluate(predicted._inner, truth._inner, _scores(logits), _settings.names(truth.class_names))
    )


class EvaluationCounts:
    """What an evaluation is counted from, batch by batch, on many machines, however many samples there are.

    Merged counts give micro, macro and weighted averages to the last bit. The average precision of a label ranks
    all samples, so it is absent from what `finish` gives.

    Examples
    --------
    >>> import tagwise
    >>> here, there = tagwise.EvaluationCounts(3), tagwise.EvaluationCounts(3)
    >>> _ = here.update([[0]], [[0, 1]]), there.update([[2]], [[2]])
    >>> here.merge(there).finish().subset_accuracy
    0.5
    """

    __slots__ = ("_inner",)

    _inner: _core.EvaluationCounts

    def __init__(self, num_classes: int) -> None:
        self._inner = _core.EvaluationCounts(_settings.whole("num_classes", num_classes, 1))

    def update(self, sets: Any, targets: Any, logits: Any = None) -> EvaluationCounts:
        """Counts a batch of predicted and true label sets, and the logits [B, K]; returns itself.

        Raises
        ------
        TagwiseValueError
            When sizes disagree, and when some batches come with logits and some without; nothing is counted then.
        """
        predicted, truth = _pair(sets, targets, self.num_classes, None)
        self._inner.update(predicted._inner, truth._inner, _scores(logits))
        return self

    def merge(self, other: EvaluationCounts) -> EvaluationCounts:
        """Adds what was counted of other samples; returns itself."""
        if not isinstance(other, EvaluationCounts):
            raise TagwiseTypeError(f"expected `other` as EvaluationCounts, found {type(other).__name__}")
        self._inner.merge(other._inner)
        return self

    def finish(self, *, class_names: Sequence[str] | None = None) -> Evaluation:
        """All measures of what was counted.

        Raises
        ------
        TagwiseValueError
            Without a sample.
        """
        return Evaluation._of(self._inner.finish(_settings.names(class_names)))

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self._inner.num_classes()

    @property
    def num_samples(self) -> int:
        """Number of samples counted."""
        return self._inner.num_samples()

    def to_bytes(self) -> bytes:
        """The counts as bytes (JSON)."""
        return self._inner.to_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> EvaluationCounts:
        """What `to_bytes` gave."""
        made = cls.__new__(cls)
        text = _settings.text(_settings.parsed("evaluation counts", _settings.data(data)))
        made._inner = _core.EvaluationCounts.from_json(text)
        return made

    def save(self, path: Any) -> None:
        """Writes the bytes to a file, complete or not at all."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any) -> EvaluationCounts:
        """What `save` wrote."""
        return _settings.load(path, cls.from_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        return EvaluationCounts.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"EvaluationCounts({self.num_samples} samples, {self.num_classes} classes)"


def _scores(logits: Any) -> Any:
    return None if logits is None else as_matrix(logits, "logits", "[N, K]")


def _pair(sets: Any, targets: Any, num_classes: Any, class_names: Any) -> tuple[LabelSets, LabelSets]:
    """Both in the classes of the truth; lists of numbers alone do not say how many there are."""
    if num_classes is None and class_names is None and _is_list(targets):
        if _is_list(sets):
            known = as_targets([*sets, *targets], "targets")
        else:
            known = as_targets(sets, "sets")
        num_classes, class_names = known.num_classes, known.class_names
    truth = as_targets(targets, "targets", num_classes=num_classes, class_names=class_names)
    predicted = as_targets(sets, "sets", num_classes=truth.num_classes, class_names=truth.class_names)
    return predicted, truth


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
