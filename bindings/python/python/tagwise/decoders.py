"""From features to label sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from . import _core, _settings
from ._inputs import as_features, as_targets, as_vector
from .errors import TagwiseTypeError, TagwiseValueError
from .head import Head
from .labels import LabelSets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Decoded", "Decoder", "OneNearestNeighbour"]

#: Nodes that the search may visit for one sample, as of the library.
_MAX_NODES = 1_000_000


class Decoded(tuple[LabelSets, "NDArray[np.float64] | None"]):
    """Decoded label sets: `sets, margins = decoder.decode(features)`.

    `sets` is the answer, `margins` [N] how much worse the second-best set of each sample is, and `scores` [N] how
    near the best one; both are `None` for rules on logits. `unproven` lists the samples whose search was cut before
    every other set was excluded.

    A head of the set likelihood gives every label set a probability: `probabilities` [N] are those of the answers,
    `listed` the most probable sets of each sample with theirs, `abstained` the samples whose answer is less probable
    than was asked for.
    """

    scores: NDArray[np.float64] | None
    unproven: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None
    listed: list[list[tuple[tuple[int, ...], float]]]
    abstained: NDArray[np.int64]

    def __new__(
        cls,
        sets: LabelSets,
        margins: NDArray[np.float64] | None,
        scores: NDArray[np.float64] | None,
        unproven: NDArray[np.int64],
        probabilities: NDArray[np.float64] | None,
        listed: list[list[tuple[tuple[int, ...], float]]],
        abstained: NDArray[np.int64],
    ) -> Decoded:
        made = super().__new__(cls, (sets, margins))
        made.scores = scores
        made.unproven = unproven
        made.probabilities = probabilities
        made.listed = listed
        made.abstained = abstained
        return made

    @property
    def sets(self) -> LabelSets:
        """The label set of each sample."""
        return self[0]

    @property
    def margins(self) -> NDArray[np.float64] | None:
        """How much worse the second-best set of each sample is, [N]; infinite where there is no other."""
        return self[1]

    def __getnewargs__(self) -> tuple[Any, ...]:
        more = self.probabilities, self.listed, self.abstained
        return self.sets, self.margins, self.scores, self.unproven, *more


class Decoder:
    """A decoder with all that it needs: prototypes or tuned thresholds, the classifier, names of the classes.

    `fit` makes one. "onn" finds the nearest of *all* label sets, exactly; rules choose labels by their logits,
    tuned on samples with known labels; "auto" takes the best of all on samples held out.

    Examples
    --------
    >>> import numpy as np
    >>> import tagwise
    >>> H = np.array([[1.0, 0.1], [0.0, 1.0], [0.8, 0.9]])
    >>> decoder = tagwise.Decoder.fit(H, [[0], [1], [0, 1]], decoder="onn")
    >>> sets, margins = decoder.decode([[0.5, 0.5], [0.1, 0.9]])
    >>> list(sets)
    [(0, 1), (1,)]
    """

    __slots__ = ("_about", "_inner")

    _inner: _core.Decoder
    _about: dict[str, Any]

    def __init__(self) -> None:
        raise TagwiseTypeError("decoders come from their fit, load and from_bytes")

    @classmethod
    def _of(cls, core: _core.Decoder) -> Self:
        made = cls.__new__(cls)
        made._inner = core
        made._about = json.loads(core.about())
        return made

    @classmethod
    def fit(
        cls,
        features: Any = None,
        targets: Any = None,
        *,
        decoder: str = "auto",
        head: Head | None = None,
        validation: tuple[Any, Any] | None = None,
        distance: Literal["cosine", "euclidean", "mahalanobis"] = "cosine",
        prototypes: Literal["tag-averages", "label-sets"] = "tag-averages",
        prior: Literal["none", "multiplicity", "label-set"] = "none",
        scales: Literal["measured", "ufm"] | Sequence[float] = "measured",
        space: Literal["features", "logits"] = "features",
        empty_set: Literal["never", "measured"] | float | None = None,
        max_multiplicity: int | None = None,
        max_nodes: int = _MAX_NODES,
        link: Literal["softmax", "sigmoid"] | None = None,
        criterion: str = "subset-accuracy",
        list_sets: int = 0,
        abstain_below: float = 0.0,
        empty_match: Literal[0, 1] = 1,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Makes a decoder: what `tagwise decode` does before it decodes.

        Rules and choices are tuned on the validation samples; without such on the part of the training samples that
        the head's fit held out; without such on a stratified fifth of the training samples, where a classifier that
        was fitted to them looks better than it is (`tuning["warning"]` says so).

        Parameters
        ----------
        features, targets
            Training samples [N, d] with label sets in any form of `LabelSets`: prototypes come from them.
        decoder
            "auto", "onn", or a rule on logits: "threshold", "label-thresholds", "top-k", "proportional",
            "largest-gap", "predicted-multiplicity", "expected-f1". A head of the set likelihood has a distribution
            over label sets: its "most-probable" set and the set of largest "expected-f1" are exact, and need neither
            tuning nor samples.
        head
            The classifier, for rules and distances between logits.
        validation
            Features and targets for tuning, unseen by the classifier.
        distance, prototypes, prior, scales, space, empty_set, max_multiplicity, max_nodes
            See `OneNearestNeighbour.fit`.
        link
            What the logits mean: "softmax" or "sigmoid"; what the loss of the head says when absent.
        criterion
            What tuning maximises: "subset-accuracy", "hamming-accuracy", "jaccard-samples", "f1-samples",
            "f1-micro" or "f1-macro".
        list_sets, abstain_below
            For the set likelihood: how many of the most probable sets to list with their probabilities, and the
            probability from 0 to 1 below which an answer counts as abstained.
        empty_match
            For "expected-f1" of the set likelihood: F1 where neither truth nor answer has a label, 1 or 0.
        num_classes, class_names
            K and what the classes are called, where the targets do not say it.

        Raises
        ------
        TagwiseValueError
            Without the samples or the head that the decoder needs, when sizes disagree, for NaN and infinity.
        """
        making = {
            "decoder": _settings.word("decoder", decoder),
            "nearest": {
                "distance": _settings.word("distance", distance),
                "prototypes": _settings.word("prototypes", prototypes),
                "prior": _settings.word("prior", prior),
                "empty-set": "never" if empty_set is None else _empty_set(empty_set),
                "max-multiplicity": None
                if max_multiplicity is None
                else _settings.whole("max_multiplicity", max_multiplicity, 1),
                "max-nodes": _settings.whole("max_nodes", max_nodes),
            },
            "suits_empty_set": empty_set is None,
            "scales": scales if isinstance(scales, str) else as_vector(scales, "scales", "[M]").tolist(),
            "space": _settings.word("space", space),
            "link": None if link is None else _settings.word("link", link),
            "criterion": _settings.word("criterion", criterion),
            "sets": {
                "num_listed": _settings.whole("list_sets", list_sets),
                "abstain_below": _settings.number("abstain_below", abstain_below),
                "empty_match": _empty_match(empty_match),
            },
        }
        if head is not None and not isinstance(head, Head):
            raise TagwiseTypeError(f"expected `head` as a tagwise.Head, found {type(head).__name__}")
        names = class_names if class_names is not None or head is None else head.class_names
        classes = num_classes if num_classes is not None or head is None else head.num_classes
        training, sets = _samples("features", features, "targets", targets, classes, names)
        tuning, tuning_sets = None, None
        if validation is not None:
            if not isinstance(validation, (tuple, list)) or len(validation) != 2:
                raise TagwiseTypeError("expected `validation` as a pair of features and targets, found something else")
            known = names if sets is None else sets.class_names
            classes = classes if sets is None else sets.num_classes
            tuning, tuning_sets = _samples("validation", validation[0], "validation", validation[1], classes, known)
        known = next((s.class_names for s in (sets, tuning_sets) if s is not None and s.class_names), names)
        return cls._of(
            _core.Decoder.fit(
                training,
                None if sets is None else sets._inner,
                tuning,
                None if tuning_sets is None else tuning_sets._inner,
                None if head is None else head._inner,
                _settings.text(making),
                None if known is None else _settings.names(known),
            )
        )

    def decode(self, features: Any) -> Decoded:
        """The label set of each sample.

        Parameters
        ----------
        features
            [N, d], dense or sparse.

        Returns
        -------
        Decoded
            Unpacks to label sets and margins [N], the latter `None` for rules on logits.

        Raises
        ------
        TagwiseValueError
            For another d, and for NaN and infinity.
        """
        sets, margins, scores, unproven, probabilities, listed, abstained = self._inner.decode(as_features(features))
        rows = [[(tuple(labels), probability) for labels, probability in row] for row in listed]
        named = LabelSets._of(sets, self.class_names)
        return Decoded(named, margins, scores, unproven, probabilities, rows, abstained)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self._inner.num_classes

    @property
    def dim(self) -> int:
        """Feature dimension d."""
        return self._inner.dim

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, if they have names."""
        names = self._inner.class_names
        return None if names is None else tuple(names)

    @property
    def name(self) -> str:
        """What it is called: "ONN, Mahalanobis, label-set means"."""
        return self._inner.name

    @property
    def settings(self) -> dict[str, Any]:
        """Which decoder it is, as the file of a decoder has it."""
        return dict(self._about["settings"])

    @property
    def values(self) -> dict[str, Any]:
        """The numbers that fitting found."""
        return dict(self._about["values"])

    @property
    def tuning(self) -> dict[str, Any] | None:
        """What it was tuned for: samples, criterion, the candidates of a choice; `None` when nothing was tuned."""
        tuning = self._about["tuning"]
        return None if tuning is None else dict(tuning)

    @property
    def reason(self) -> str | None:
        """Why it was chosen, in one sentence; `None` unless several were compared."""
        reason: str | None = self._about["reason"]
        return reason

    def save(self, path: Any) -> None:
        """Writes a safetensors file that `load` and `tagwise decode --decoder-file` read, complete or not at all."""
        self._inner.save(_settings.path(path))

    @classmethod
    def load(cls, path: Any) -> Self:
        """What `save` or `tagwise decode --save` wrote."""
        return cls._checked(_core.Decoder.load(_settings.path(path)))

    def to_bytes(self) -> bytes:
        """The decoder as the bytes of a safetensors file."""
        return self._inner.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` gave; its answers are the same to the last bit."""
        return cls._checked(_core.Decoder.from_bytes(_settings.data(data)))

    @classmethod
    def _checked(cls, core: _core.Decoder) -> Self:
        return cls._of(core)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {self._about['found']})"


class OneNearestNeighbour(Decoder):
    """Decodes a feature to the label set with the nearest prototype among all sets.

    The prototype of a set is the sum of the means of its labels, the tag-wise average of the collapsed geometry.
    The answer is exact: a search excludes every other set by a bound.

    Examples
    --------
    >>> import numpy as np
    >>> import tagwise
    >>> H = np.array([[1.0, 0.1], [0.0, 1.0], [0.8, 0.9]])
    >>> decoder = tagwise.OneNearestNeighbour.fit(H, [[0], [1], [0, 1]])
    >>> sets, margins = decoder.decode([[0.5, 0.5]])
    >>> sets[0], bool(margins[0] > 0)
    ((0, 1), True)

    References
    ----------
    Li, Li, Wang and Qu 2024 (arXiv 2310.15903), one-nearest-neighbour evaluation.
    """

    __slots__ = ()

    @classmethod
    def fit(  # type: ignore[override]
        cls,
        features: Any,
        targets: Any,
        *,
        distance: Literal["cosine", "euclidean", "mahalanobis"] = "cosine",
        prototypes: Literal["tag-averages", "label-sets"] = "tag-averages",
        prior: Literal["none", "multiplicity", "label-set"] = "none",
        scales: Literal["measured", "ufm"] | Sequence[float] = "measured",
        space: Literal["features", "logits"] = "features",
        head: Head | None = None,
        empty_set: Literal["never", "measured"] | float | None = None,
        max_multiplicity: int | None = None,
        max_nodes: int = _MAX_NODES,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Estimates the prototypes from training samples.

        Parameters
        ----------
        features, targets
            Training samples [N, d] with label sets in any form of `LabelSets`.
        distance
            "cosine", "euclidean", or "mahalanobis" under the shrunk covariance of samples around set means.
        prototypes
            "tag-averages", or "label-sets" for sets seen in training their own mean, shrunk towards the average.
        prior
            How likely sets are beforehand: all alike, as their multiplicity in training, or as themselves.
        scales
            The scales c_1, c_2, … of tag-wise averages: "measured", "ufm" as the unconstrained feature model
            predicts, or numbers. They play no part for the cosine to tag-wise averages.
        space, head
            "logits" measures distances between the logits of this head, less their mean.
        empty_set
            When a sample has no label: "never"; "measured", when the mean of unlabelled training samples is nearest;
            or a number that no other set's score reaches. `None` is "measured" where at least one training sample in
            twenty has no label, and "never" otherwise.
        max_multiplicity
            The most labels of an answer; as many as in training when absent.
        max_nodes
            Partial label sets to visit for one sample before an answer is given unproven.

        Raises
        ------
        TagwiseValueError
            When the samples do not determine what the settings ask for, when sizes disagree, for NaN and infinity.
        """
        return super().fit(
            features,
            targets,
            decoder="onn",
            head=head,
            distance=distance,
            prototypes=prototypes,
            prior=prior,
            scales=scales,
            space=space,
            empty_set=empty_set,
            max_multiplicity=max_multiplicity,
            max_nodes=max_nodes,
            num_classes=num_classes,
            class_names=class_names,
        )

    @classmethod
    def _checked(cls, core: _core.Decoder) -> Self:
        made = cls._of(core)
        if made.settings["name"] != "one-nearest-neighbour":
            raise TagwiseValueError(
                f"expected a one-nearest-neighbour decoder, found {made.name}; load it with tagwise.Decoder"
            )
        return made


def _empty_set(empty_set: Any) -> Any:
    return empty_set if isinstance(empty_set, str) else {"below": _settings.number("empty_set", empty_set)}


def _empty_match(empty_match: Any) -> str:
    if isinstance(empty_match, bool) or empty_match not in (0, 1):
        raise TagwiseValueError(f"expected `empty_match` 0 or 1, found {empty_match!r}")
    return "one" if empty_match else "zero"


def _samples(
    features_name: str, features: Any, targets_name: str, targets: Any, num_classes: Any, class_names: Any
) -> tuple[Any, LabelSets | None]:
    """Features with label sets, both or neither."""
    if features is None and targets is None:
        return None, None
    if features is None or targets is None:
        given, missing = ("targets", "features") if features is None else ("features", "targets")
        raise TagwiseValueError(f"expected `{missing}` beside `{given}`, found none")
    sets = as_targets(targets, targets_name, num_classes=num_classes, class_names=class_names)
    return as_features(features, features_name), sets
