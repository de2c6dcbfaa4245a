"""How collapsed features are: statistics that merge, and everything that is measured in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import _core, _settings
from ._figures import WithPage, frame
from ._inputs import as_classifier, as_features, as_targets
from .errors import TagwiseTypeError, TagwiseValueError
from .labels import LabelSets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CollapseReport", "Headline", "Nc2", "Statistics", "analyze"]


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
        self._inner.update(as_features(features), sets._inner)
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
        name: str = "statistics",
    ) -> CollapseReport:
        """Measures all that statistics tell: everything of `analyze` but NC4 and the worst samples.

        Parameters
        ----------
        weight, bias
            The classifier [K, d] and [K]; the one kept with the statistics when absent.
        class_names
            What the classes are called, in order.
        name
            What the features are called in tables and on the page.

        Raises
        ------
        TagwiseValueError
            When sizes disagree, and without a sample that carries a label.
        """
        given = as_classifier(weight, bias)
        return CollapseReport._of(
            self._inner.collapse(*given, _settings.names(class_names), _settings.word("name", name))
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


class Headline(NamedTuple):
    """One headline metric: its value and what it means."""

    #: A name that every tracker takes: nc1_m1, nc1_pooled, nc2_classifier, nc2_class_means, nc3, nc_m2.
    key: str
    #: The name for people: "NC1, m = 1".
    name: str
    #: What it was measured on.
    of: str
    #: The value; `None` when the data do not tell it.
    value: float | None
    #: The value under exact collapse.
    ideal: float
    #: About the best value of features that know nothing of the labels, where it is known.
    chance: float | None
    #: "collapsed", "partly", "not_collapsed" or "cannot_be_told".
    verdict: str
    #: The verdict in one sentence.
    sentence: str


class Nc2(NamedTuple):
    """NC2, the distance from a simplex ETF: of the classifier and of the centred class means."""

    classifier: float | None
    class_means: float | None


class CollapseReport(WithPage):
    """Everything that was measured; `print(report)` shows the tables of `tagwise analyze`, a notebook its page.

    A metric that the data do not tell is `None`, and `notes` says why. Metrics are those of Li, Li, Wang
    and Qu 2024 (arXiv 2310.15903), by multiplicity as well as on single labels; 0 is exact collapse.
    """

    def __init__(self) -> None:
        raise TagwiseTypeError("reports come from tagwise.analyze and Statistics.collapse")

    _analysis: _core.Analysis | None
    _page: _core.Page | None
    _text: str | None

    @classmethod
    def _of(cls, analysis: _core.Analysis) -> CollapseReport:
        made = cls.__new__(cls)
        made._analysis = analysis
        made._figures = json.loads(analysis.figures())
        made._page = made._text = None
        return made

    def _make_page(self) -> _core.Page:
        if self._page is None:
            assert self._analysis is not None  # a report has at least one of the two
            self._page = self._analysis.page()
        return self._page

    def _make_text(self) -> str:
        if self._text is None:
            assert self._analysis is not None  # as above
            self._text = self._analysis.text()
        return self._text

    @property
    def headlines(self) -> list[Headline]:
        """The headline metrics with their verdicts, in the order of the library's list."""
        return [
            Headline(
                key=_key(line["metric"]),
                verdict=line["verdict"]["state"],
                **{name: line[name] for name in ("name", "of", "value", "ideal", "chance", "sentence")},
            )
            for line in self._figures["headlines"]
        ]

    @property
    def verdicts(self) -> dict[str, str]:
        """How far collapse has come by each headline metric: its key, its verdict."""
        return {line.key: line.verdict for line in self.headlines}

    def scalars(self, prefix: str = "") -> dict[str, float]:
        """The headline metrics that have a value, under names that every tracker takes.

        Examples
        --------
        >>> import numpy as np
        >>> import tagwise
        >>> report = tagwise.analyze(np.array([[1.0], [1.0], [-1.0], [-1.0]]), [[0], [0], [1], [1]])
        >>> report.scalars("collapse/")["collapse/nc1_m1"]
        0.0
        """
        return {prefix + line.key: line.value for line in self.headlines if line.value is not None}

    def _values(self, kind: str) -> dict[int, float | None]:
        lines = self._figures["headlines"]
        return {
            line["metric"].get("multiplicity", 0): line["value"] for line in lines if line["metric"]["kind"] == kind
        }

    @property
    def nc1(self) -> dict[int, float | None]:
        """NC1 by multiplicity: spread within label sets against the distance between them."""
        return self._values("nc1")

    @property
    def nc1_pooled(self) -> float | None:
        """NC1 over the label sets of all multiplicities."""
        return self._values("nc1_pooled").get(0, self.nc1.get(1) if len(self.nc1) == 1 else None)

    @property
    def nc2(self) -> Nc2:
        """NC2 of the classifier and of the class means."""
        return Nc2(self._values("nc2_classifier").get(0), self._values("nc2_class_means").get(0))

    @property
    def nc3(self) -> float | None:
        """NC3: distance of classifier and class means from being the same frame."""
        return self._values("nc3").get(0)

    @property
    def nc4(self) -> float | None:
        """NC4: share of the single-label samples that the classifier gives the class of the nearest mean."""
        nc4 = self._figures["nc4"]
        return None if nc4 is None else nc4["agreement"]

    @property
    def nc_m(self) -> dict[int, float | None]:
        """NC_m by multiplicity from 2: angle between means of label sets and tag-wise averages, 1 at chance."""
        return self._values("nc_m")

    @property
    def num_samples(self) -> int:
        """Number of samples N."""
        return int(self._figures["num_samples"])

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return int(self._figures["num_classes"])

    @property
    def dim(self) -> int:
        """Feature dimension d."""
        return int(self._figures["dim"])

    @property
    def num_label_sets(self) -> int:
        """Number of distinct label sets L."""
        return int(self._figures["num_label_sets"])

    @property
    def notes(self) -> list[str]:
        """What a reader must know to read the numbers."""
        return list(self._figures["notes"])

    def to_pandas(self) -> Any:
        """A data frame with one row for each headline metric; needs pandas."""
        return frame([line._asdict() for line in self.headlines])

    def __getstate__(self) -> dict[str, Any]:
        return {"figures": self._figures, "text": self._make_text(), "page": self._make_page().to_json()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._analysis = None
        self._figures = state["figures"]
        self._text = state["text"]
        self._page = _core.Page.from_json(state["page"])

    def to_bytes(self) -> bytes:
        """The report with its page as bytes."""
        return _settings.text(self.__getstate__()).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> CollapseReport:
        """What `to_bytes` gave."""
        made = cls.__new__(cls)
        state = _settings.parsed("a collapse report", _settings.data(data))
        try:
            made.__setstate__(state)
        except (KeyError, TypeError):
            raise TagwiseValueError("expected the bytes of a collapse report, found something else") from None
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return CollapseReport.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        values = ", ".join(f"{key} = {value:.4g}" for key, value in self.scalars().items())
        return f"CollapseReport({self.num_samples} samples, {self.num_classes} classes, d = {self.dim}: {values})"


def _key(metric: dict[str, Any]) -> str:
    kind: str = metric["kind"]
    multiplicity = metric.get("multiplicity")
    if multiplicity is None:
        return kind
    return f"{kind}{multiplicity}" if kind.endswith("_m") else f"{kind}_m{multiplicity}"


def analyze(
    features: Any,
    targets: Any,
    weight: Any = None,
    bias: Any = None,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    worst: int = 10,
    directions: Literal["all", "tag-span"] = "all",
    compat: Literal["nc-mlab"] | None = None,
    name: str = "features",
) -> CollapseReport:
    """Measures the collapse of last-layer features: the whole of `tagwise analyze`, in two passes.

    Parameters
    ----------
    features
        [N, d] in f16, f32 or f64, dense or sparse; contiguous rows are not copied.
    targets
        N label sets in any form of `LabelSets`.
    weight, bias
        The classifier [K, d] and [K], for NC2 of its rows, NC3 and NC4.
    num_classes, class_names
        K and what the classes are called, where the targets do not say it.
    worst
        How many of the samples farthest from the mean of their label set to list.
    directions
        The directions in which NC1 is measured: "tag-span" is far cheaper for many label sets and large d.
    compat
        "nc-mlab" computes the numbers of the code published with the paper too.
    name
        What the features are called in tables and on the page.

    Raises
    ------
    TagwiseValueError
        When sizes disagree, for NaN and infinity, and without a sample that carries a label.

    Examples
    --------
    >>> import tagwise
    >>> etf = tagwise.simplex_etf(3, 3)
    >>> report = tagwise.analyze(etf, [[0], [1], [2]], weight=etf)
    >>> round(report.nc3, 6), report.nc4
    (0.0, 1.0)

    References
    ----------
    Li, Li, Wang and Qu 2024, "Neural collapse in multi-label learning with pick-all-label loss",
    arXiv 2310.15903.
    """
    sets = as_targets(targets, num_classes=num_classes, class_names=class_names)
    given = as_classifier(weight, bias)
    return CollapseReport._of(
        _core.analyze(
            as_features(features),
            sets._inner,
            *given,
            None if sets.class_names is None else list(sets.class_names),
            _settings.whole("worst", worst),
            _settings.word("directions", directions),
            None if compat is None else _settings.word("compat", compat),
            _settings.word("name", name),
        )
    )
