"""Statistics of features: summed batch by batch, merged, saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import _core, _settings
from ._inputs import as_classifier, as_features, as_targets
from .collapse import CollapseReport
from .errors import TagwiseTypeError, TagwiseValueError
from .labels import LabelSets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Statistics"]


class Statistics:
    """Counts, means and scatter of features by label set, in f64, summed batch by batch and merged.

    Per label set S the number of samples n_S, the mean h̄_S and Σ‖h − h̄_S‖²; per multiplicity m one
    pooled scatter Σ_{|S|=m} Σ_i (h_i − h̄_S)(h_i − h̄_S)ᵀ. Samples are added to running means, so that
    nothing cancels however far features have collapsed. The state takes 16·L·d bytes for L label sets
    and about 4·d² per multiplicity, whatever the number of samples; parts that were made on different
    machines merge to what one pass would have given, up to rounding.

    Parameters
    ----------
    num_classes, dim
        K and d.
    scatter
        "full" keeps one d×d scatter per multiplicity, which NC1 needs; "trace" keeps its trace alone.

    Raises
    ------
    TagwiseValueError
        For K or d out of range: d up to 65,536 with the full scatter.

    Examples
    --------
    >>> import numpy as np
    >>> import tagwise
    >>> here, there = (tagwise.Statistics(num_classes=2, dim=2) for _ in range(2))
    >>> _ = here.update(np.array([[1.0, 0.0], [3.0, 0.0]]), [[0], [0]])
    >>> _ = there.update(np.array([[0.0, 5.0]]), [[1]])
    >>> here.merge(there).class_means().tolist()
    [[2.0, 0.0], [0.0, 5.0]]
    >>> tagwise.Statistics.from_bytes(here.to_bytes()).num_samples
    3

    References
    ----------
    Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    __slots__ = ("_inner",)

    _inner: _core.Statistics

    def __init__(self, num_classes: int, dim: int, *, scatter: Literal["full", "trace"] = "full") -> None:
        self._inner = _core.Statistics(
            _settings.whole("num_classes", num_classes, 1),
            _settings.whole("dim", dim, 1),
            _settings.word("scatter", scatter),
        )

    @classmethod
    def _of(cls, core: _core.Statistics) -> Statistics:
        made = cls.__new__(cls)
        made._inner = core
        return made

    def update(self, features: Any, targets: Any) -> Statistics:
        """Adds samples; how a stream is cut into updates changes no more than the last digits.

        Parameters
        ----------
        features
            [n, d] in f16, f32 or f64, dense or sparse; contiguous rows are not copied.
        targets
            n label sets in any form of `LabelSets`, over K classes.

        Returns
        -------
        Statistics
            Itself.

        Raises
        ------
        TagwiseValueError
            When sizes disagree, and for NaN and infinity; nothing is added then.
        """
        sets = as_targets(targets, num_classes=self.num_classes)
        rows = as_features(features)
        found = rows[3] if isinstance(rows, tuple) else rows.shape[1]
        if found != self.dim:
            raise TagwiseValueError(f"expected {self.dim} columns of `features`, found {found}")
        self._inner.update(rows, sets._inner)
        return self

    def merge(self, other: Statistics) -> Statistics:
        """Adds the samples of another part; returns itself.

        Raises
        ------
        TagwiseValueError
            When K, d, the kind of scatter or the classifiers differ; nothing is added then.
        """
        if not isinstance(other, Statistics):
            raise TagwiseTypeError(f"expected `other` as Statistics, found {type(other).__name__}")
        self._inner.merge(other._inner)
        return self

    def collapse(
        self,
        weight: Any = None,
        bias: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        against_ufm: bool | None = None,
        name: str = "statistics",
    ) -> CollapseReport:
        """Measures all that statistics tell: everything of `analyze` but NC4 and the worst samples.

        Parameters
        ----------
        weight, bias
            The classifier [K, d] and [K]; the one kept with the statistics when absent.
        class_names
            What the classes are called, in order.
        against_ufm
            As for `analyze`.
        name
            What the features are called in tables and on the page.

        Raises
        ------
        TagwiseValueError
            When sizes disagree, and without a sample that carries a label.
        """
        given = as_classifier(weight, bias)
        return CollapseReport._of(
            self._inner.collapse(
                *given,
                _settings.names(class_names),
                _settings.choice("against_ufm", against_ufm),
                _settings.word("name", name),
            )
        )

    def set_classifier(self, weight: Any, bias: Any = None) -> Statistics:
        """Keeps the classifier [K, d], [K] with the statistics; `None` keeps none. Returns itself."""
        self._inner.set_classifier(*as_classifier(weight, bias))
        return self

    @property
    def weight(self) -> NDArray[np.float64] | None:
        """The weight [K, d] of the classifier kept with the statistics, if there is one."""
        return self._inner.weight()

    @property
    def bias(self) -> NDArray[np.float64] | None:
        """Its bias [K]."""
        return self._inner.bias()

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self._inner.num_classes()

    @property
    def dim(self) -> int:
        """Feature dimension d."""
        return self._inner.dim()

    @property
    def scatter(self) -> str:
        """"full" or "trace"."""
        return self._inner.scatter()

    @property
    def num_samples(self) -> int:
        """Number of samples, those without a label included."""
        return self._inner.num_samples()

    @property
    def label_sets(self) -> LabelSets:
        """The L distinct label sets, by multiplicity and then in order."""
        return LabelSets._of(self._inner.label_sets())

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of samples of each label set, [L]."""
        return self._inner.counts()

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean of each label set, [L, d]."""
        return self._inner.means()

    def class_means(self) -> NDArray[np.float64]:
        """The mean of the samples that carry one label alone, [K, d].

        Raises
        ------
        TagwiseValueError
            When a class has no such sample.
        """
        return self._inner.class_means()

    def within_scatter(self, multiplicity: int) -> NDArray[np.float64] | None:
        """The pooled scatter [d, d] of the samples with so many labels, not divided by their number.

        `None` without such samples, and where its trace alone was kept.
        """
        return self._inner.within_scatter(_settings.whole("multiplicity", multiplicity))

    def copy(self) -> Statistics:
        """Statistics that later updates of these leave alone."""
        return Statistics._of(self._inner.copy())

    def save(self, path: Any) -> None:
        """Writes a file (.ncs) that `load`, `tagwise merge` and `tagwise analyze` read, complete or not at all."""
        self._inner.save(_settings.path(path))

    @classmethod
    def load(cls, path: Any) -> Statistics:
        """What `save` or `tagwise stats` wrote.

        Raises
        ------
        TagwiseFileError, TagwiseValueError
            When the file cannot be read, and when it is no such file.
        """
        return cls._of(_core.Statistics.load(_settings.path(path)))

    def to_bytes(self) -> bytes:
        """The statistics as bytes, to be kept or merged elsewhere; the same statistics give the same bytes."""
        return self._inner.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Statistics:
        """What `to_bytes` gave."""
        return cls._of(_core.Statistics.from_bytes(_settings.data(data)))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Statistics:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return Statistics.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return (
            f"Statistics({self.num_samples} samples, {self.num_classes} classes, d = {self.dim}, "
            f"{len(self.label_sets)} label sets)"
        )
