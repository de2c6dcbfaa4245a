"""How collapsed features are: everything that is measured in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from . import _core, _settings
from ._figures import WithPage, frame
from ._inputs import as_classifier, as_features, as_targets
from .errors import TagwiseTypeError, TagwiseValueError

__all__ = ["CollapseReport", "Headline", "Nc2", "analyze"]


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
    #: The value by the published formula, where that is another one.
    published: float | None = None
    #: The 95 % interval of the value over other samples of the same kind, where it was measured.
    interval: tuple[float, float] | None = None


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
    _skipped: list[int]
    _page: _core.Page | None
    _text: str | None

    @classmethod
    def _of(cls, analysis: _core.Analysis) -> CollapseReport:
        made = cls.__new__(cls)
        made._analysis = analysis
        made._figures = json.loads(analysis.figures())
        made._skipped = analysis.skipped()
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
                published=line.get("published"),
                interval=_interval(line.get("interval")),
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

        What the samples do not tell is left out, such as NC1 of an untrained network, whose means differ no more
        than noise in them does.

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

    @property
    def skipped(self) -> list[int]:
        """The rows that `skip_non_finite` left out."""
        return list(self._skipped)

    @property
    def optimum(self) -> dict[str, Any] | None:
        """How far class means and classifier are from the optimum of the unconstrained feature model for these label
        counts, and from a simplex ETF, in degrees; `None` where it was not sought, or there is none."""
        optimum = self._figures.get("optimum")
        return None if optimum is None else dict(optimum)

    def to_pandas(self) -> Any:
        """A data frame with one row for each headline metric; needs pandas."""
        return frame([line._asdict() for line in self.headlines])

    def __getstate__(self) -> dict[str, Any]:
        return {
            "figures": self._figures,
            "skipped": self._skipped,
            "text": self._make_text(),
            "page": self._make_page().to_json(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._analysis = None
        self._figures = state["figures"]
        self._skipped = state["skipped"]
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

    def save(self, path: Any) -> None:
        """Writes the bytes to a file, complete or not at all; `report` writes the page for people."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any) -> CollapseReport:
        """What `save` wrote."""
        return _settings.load(path, cls.from_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        return CollapseReport.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        values = ", ".join(f"{key} = {value:.4g}" for key, value in self.scalars().items())
        return f"CollapseReport({self.num_samples} samples, {self.num_classes} classes, d = {self.dim}: {values})"


def _interval(interval: dict[str, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval["low"], interval["high"])


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
    intervals: Literal["cheap", "always", "never"] = "cheap",
    against_ufm: bool | None = None,
    skip_non_finite: bool = False,
    name: str = "features",
) -> CollapseReport:
    """Measures the collapse of last-layer features: the whole of `tagwise analyze`.

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
    intervals
        When the headline metrics get 95 % intervals: "cheap" where they cost less than half of the analysis.
    against_ufm
        Whether class means and classifier are compared with the optimum for these label counts (`report.optimum`);
        `None` does it where K·L is at most 30,000, which takes some hundredths of a second.
    skip_non_finite
        Leaves out samples with NaN or infinity; `report.skipped` lists them.
    name
        What the features are called in tables and on the page.

    Raises
    ------
    TagwiseValueError
        When sizes disagree, for NaN and infinity unless they are skipped, and without a sample that carries a label.

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
            _settings.word("intervals", intervals),
            _settings.choice("against_ufm", against_ufm),
            bool(_settings.choice("skip_non_finite", skip_non_finite)),
            _settings.word("name", name),
        )
    )
