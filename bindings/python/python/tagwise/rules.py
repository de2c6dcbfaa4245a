"""Rules that turn logits of any origin into label sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from . import _core, _settings
from ._inputs import as_matrix, as_targets
from .errors import TagwiseTypeError
from .labels import LabelSets

__all__ = ["LogitRule"]


class LogitRule:
    """A rule on logits alone, tuned on logits with known label sets: for classifiers of any library.

    Examples
    --------
    >>> import tagwise
    >>> logits = [[2.0, 0.5], [2.2, 1.4], [-1.0, 1.2]]
    >>> rule = tagwise.LogitRule.fit(logits, [[0], [0, 1], [1]], link="sigmoid")
    >>> list(rule.decode(logits))  # a threshold between 0.5 and 1.2
    [(0,), (0, 1), (1,)]
    """

    __slots__ = ("_inner",)

    _inner: _core.LogitRule

    def __init__(self) -> None:
        raise TagwiseTypeError("rules come from LogitRule.fit, load and from_bytes")

    @classmethod
    def _of(cls, core: _core.LogitRule) -> LogitRule:
        made = cls.__new__(cls)
        made._inner = core
        return made

    @classmethod
    def fit(
        cls,
        logits: Any,
        targets: Any,
        *,
        rule: str = "threshold",
        link: Literal["softmax", "sigmoid"] = "softmax",
        criterion: str = "subset-accuracy",
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> LogitRule:
        """Tunes a rule.

        Parameters
        ----------
        logits
            [N, K], of samples that the classifier has not seen.
        targets
            Their label sets in any form of `LabelSets`.
        rule, link, criterion
            As for `Decoder.fit`.

        Raises
        ------
        TagwiseValueError
            Without a sample, when sizes disagree, for NaN and infinity.
        """
        matrix = as_matrix(logits, "logits", "[N, K]")
        classes = matrix.shape[1] if num_classes is None and class_names is None else num_classes
        sets = as_targets(targets, num_classes=classes or None, class_names=class_names)
        return cls._of(
            _core.LogitRule.fit(
                matrix,
                sets._inner,
                _settings.word("rule", rule),
                _settings.word("link", link),
                _settings.word("criterion", criterion),
                None if sets.class_names is None else list(sets.class_names),
            )
        )

    def decode(self, logits: Any) -> LabelSets:
        """The label set of each row of logits [N, K]."""
        return LabelSets._of(self._inner.decode(as_matrix(logits, "logits", "[N, K]")), self.class_names)

    @property
    def rule(self) -> dict[str, Any]:
        """The rule with its numbers."""
        rule: dict[str, Any] = json.loads(self._inner.to_json())["decoder"]["rule"]
        return rule

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self._inner.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, if they have names."""
        names = self._inner.class_names
        return None if names is None else tuple(names)

    def to_bytes(self) -> bytes:
        """The rule as bytes (JSON)."""
        return self._inner.to_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> LogitRule:
        """What `to_bytes` gave."""
        text = _settings.text(_settings.parsed("a rule on logits", _settings.data(data)))
        return cls._of(_core.LogitRule.from_json(text))

    def save(self, path: Any) -> None:
        """Writes the bytes to a file."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any) -> LogitRule:
        """What `save` wrote."""
        return _settings.load(path, cls.from_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        return LogitRule.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"LogitRule({self.num_classes} classes, {self.rule['name']})"
