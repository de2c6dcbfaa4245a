"""Linear heads on given features: the classifier of a frozen backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import _core, _settings, losses
from ._inputs import as_classifier, as_features, as_targets, as_vector
from .errors import TagwiseTypeError, TagwiseValueError
from .labels import LabelSets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Head", "fit"]


class Head:
    """A linear classifier z = W h + b with what is known of it; `fit` makes one.

    Parameters
    ----------
    weight, bias
        W [K, d] and b [K], zeros when absent: a classifier of other origin.

    Raises
    ------
    TagwiseValueError
        When sizes disagree, and for NaN and infinity.

    Examples
    --------
    >>> import tagwise
    >>> head = tagwise.Head([[1.0, 2.0], [3.0, 4.0]], [0.5, -0.5])
    >>> head.decision_function([[1.0, 1.0]]).tolist()
    [[3.5, 6.5]]
    """

    __slots__ = ("_inner", "_description")

    _inner: _core.Head
    _description: dict[str, Any]

    def __init__(self, weight: Any, bias: Any = None) -> None:
        matrix, vector = as_classifier(weight, bias)
        if matrix is None:
            raise TagwiseTypeError("expected `weight` [K, d], found None")
        self._set(_core.Head.of_classifier(matrix, vector))

    def _set(self, core: _core.Head) -> None:
        self._inner = core
        self._description = json.loads(core.description())

    @classmethod
    def _of(cls, core: _core.Head) -> Head:
        made = cls.__new__(cls)
        made._set(core)
        return made

    @property
    def weight(self) -> NDArray[np.float64]:
        """W, [K, d], for features as given."""
        return self._inner.weight()

    @property
    def bias(self) -> NDArray[np.float64]:
        """b, [K]."""
        return self._inner.bias()

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self._inner.bias())

    @property
    def dim(self) -> int:
        """Feature dimension d."""
        return int(self._inner.weight().shape[1])

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, if they have names."""
        names = self._inner.class_names
        return None if names is None else tuple(names)

    @property
    def link(self) -> str | None:
        """What the logits mean: "softmax", "sigmoid", or `None` where the loss is not known."""
        link: str | None = json.loads(self._inner.link())
        return link

    @property
    def description(self) -> dict[str, Any]:
        """What was fitted and how it ended, under the keys of `tagwise fit --json`."""
        copied: dict[str, Any] = json.loads(self._inner.description())
        return copied

    @property
    def loss(self) -> dict[str, Any] | None:
        """The loss that was minimised, with its parameters."""
        loss: dict[str, Any] | None = self._description.get("settings", {}).get("loss")
        return loss

    @property
    def weight_decay(self) -> float | None:
        """The weight decay, given or chosen, for features scaled to unit variance."""
        weight_decay: float | None = self._description.get("settings", {}).get("weight-decay")
        return weight_decay

    @property
    def objective(self) -> float | None:
        """The objective reached."""
        return self._description.get("objective")

    @property
    def num_iterations(self) -> int | None:
        """Steps of L-BFGS, or passes over the samples."""
        return self._description.get("iterations")

    @property
    def converged(self) -> bool | None:
        """Whether the gradient became as small as was asked for."""
        return self._description.get("converged")

    def decision_function(self, features: Any) -> NDArray[np.float64]:
        """The logits W h + b, [N, K], of features [N, d], dense or sparse.

        Raises
        ------
        TagwiseValueError
            For another d, and for NaN and infinity.
        """
        return self._inner.logits(as_features(features))

    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        """The probability of each label, [N, K].

        Sigmoid or softmax of the logits, as the loss says; under the set likelihood P(k ∈ S), summed over all label
        sets that hold the label.

        Raises
        ------
        TagwiseValueError
            Where the loss is not known.
        """
        import numpy as np

        if self._inner.has_potentials:
            return self._inner.inclusion(as_features(features))
        logits = self.decision_function(features)
        if self.link is None:
            raise TagwiseValueError(
                "expected a head that knows its loss, found one of other origin; take decision_function and apply "
                "softmax or sigmoid"
            )
        if self.link == "sigmoid":
            return np.exp(-np.logaddexp(0.0, -logits))
        if logits.size == 0:
            return logits
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def save(self, path: Any) -> None:
        """Writes a safetensors file that `load` and `tagwise decode --head` read, complete or not at all."""
        self._inner.save(_settings.path(path))

    @classmethod
    def load(cls, path: Any) -> Head:
        """What `save` or `tagwise fit` wrote, or any safetensors file with `weight` [K, d] and perhaps `bias`."""
        return cls._of(_core.Head.load(_settings.path(path)))

    def to_bytes(self) -> bytes:
        """The head as the bytes of a safetensors file."""
        return self._inner.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """What `to_bytes` gave."""
        return cls._of(_core.Head.from_bytes(_settings.data(data)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Head):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Head.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        loss = "" if self.loss is None else f", {self.loss['name']}, weight decay {self.weight_decay:g}"
        return f"Head({self.num_classes} classes, d = {self.dim}{loss})"


def fit(
    features: Any,
    targets: Any,
    *,
    loss: str | Mapping[str, Any] = "pal-n",
    loss_parameters: Mapping[str, Any] | None = None,
    kind: Literal["linear", "fixed-etf"] = "linear",
    weight_decay: float | None = None,
    held_out: float = 0.2,
    class_weight: Any = None,
    set_weight: Mapping[Any, float] | None = None,
    balance: float = 0.0,
    scaling: Literal["standardise", "none", "maximum"] | None = None,
    seen_set_decay: float | None = None,
    optimizer: Literal["lbfgs", "sgd"] = "lbfgs",
    batch_size: int = 64,
    tol: float = 1e-4,
    max_iter: int = 5000,
    seed: int = 0,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> Head:
    """Fits a linear head: the whole of `tagwise fit`.

    Minimises (1/Σw_i)·Σ_i w_i·L(W h_i + b, S_i) + weight_decay·‖W‖² to a stated gradient. Without a weight
    decay, the one of least loss on a held-out part of the samples is taken, split so that every label keeps
    its share, and with it the scaling and the potentials of the set likelihood that are not given; the head is then
    fitted to all samples, and the head without the held-out part is kept for decoders to be tuned with. Features are
    copied in f64.

    Parameters
    ----------
    features
        [N, d], dense or sparse.
    targets
        N label sets in any form of `LabelSets`.
    loss, loss_parameters
        A name of `tagwise.LOSSES`, or a mapping with a `name`; parameters other than those recommended. Those of
        "set-likelihood" say what is learned beside W and b: `multiplicities` "none", "constant" or "linear" in the
        features, `seen_sets` "none" or "learned", and `max_multiplicity`, that of the samples unless given.
    kind
        "linear", or "fixed-etf" for a simplex ETF on a learned projection.
    weight_decay
        For features scaled to unit variance; searched for when absent.
    held_out
        The share of the samples held out for that.
    class_weight
        `None`, "balanced", or [K]: how much labels count where a sample has them.
    set_weight
        How much the samples of a label set count: {(0, 2): 3.0}; other sets count once.
    balance
        0 weighs all samples alike, 1 all label sets.
    scaling
        How features are scaled while the head is fitted: "standardise" to unit variance, "maximum" to a largest
        absolute value of 1, or "none"; compared on held-out samples when absent, unit variance where the weight decay
        is given.
    seen_set_decay
        Decay of the potentials of label sets, from which 1/(2·decay·N) is their variance.
    optimizer, batch_size
        "lbfgs", or "sgd" on batches of this size, with variance reduction.
    tol, max_iter
        The largest entry of the gradient to stop at; the most steps, or passes over the samples.
    seed
        Seed of the held-out part and of stochastic descent.

    Raises
    ------
    TagwiseValueError
        When sizes disagree, for NaN and infinity, and for settings out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import tagwise
    >>> X = np.array([[1.0, 0.1], [0.9, 0.0], [0.0, 1.0], [0.1, 0.8]])
    >>> head = tagwise.fit(X, [[0], [0], [1], [1]], loss="bce", weight_decay=0.01)
    >>> head.converged, (head.decision_function(X) > 0).astype(int).tolist()
    (True, [[1, 0], [1, 0], [0, 1], [0, 1]])
    """
    sets = as_targets(targets, num_classes=num_classes, class_names=class_names)
    names = None if sets.class_names is None else list(sets.class_names)
    own_loss = losses.settings(loss, loss_parameters)
    chosen = {
        "loss": own_loss,
        "kind": _settings.word("kind", kind),
        "balance": _settings.number("balance", balance),
        "class-weights": _class_weights(class_weight),
        "set-weights": _set_weights(set_weight, sets),
        "optimizer": _optimizer(optimizer, batch_size, seed),
        "gradient-tolerance": _settings.number("tol", tol),
        "max-iterations": _settings.whole("max_iter", max_iter),
    }
    if scaling is not None:
        chosen["scaling"] = _settings.word("scaling", scaling)
    if seen_set_decay is not None:
        chosen["seen-set-decay"] = _settings.number("seen_set_decay", seen_set_decay)
    search = None
    if weight_decay is None:
        said = {**(loss if isinstance(loss, Mapping) else {}), **(loss_parameters or {})}
        search = {
            "share": _settings.number("held_out", held_out),
            "seed": _settings.whole("seed", seed),
            "given": _given(said, scaling, seen_set_decay),
        }
    else:
        chosen["weight-decay"] = _settings.number("weight_decay", weight_decay)
    request = _settings.text({"settings": chosen, "held_out": search})
    return Head._of(_core.Head.fit(as_features(features), sets._inner, request, names))


def _given(parameters: Mapping[str, Any], scaling: Any, seen_set_decay: Any) -> list[str]:
    """What is not to be compared on the held-out samples."""
    given = [] if scaling is None else ["scaling"]
    if "multiplicities" in parameters:
        given.append("multiplicities")
    seen_sets = parameters.get("seen_sets")
    if seen_sets == "none" or (seen_sets is not None and seen_set_decay is not None):
        given.append("seen-sets")
    return given


def _optimizer(optimizer: Any, batch_size: Any, seed: Any) -> Any:
    name = _settings.word("optimizer", optimizer)
    if name == "sgd":
        return {
            "stochastic": {
                "batch-size": _settings.whole("batch_size", batch_size, 1),
                "seed": _settings.whole("seed", seed),
            }
        }
    if name != "lbfgs":
        raise TagwiseValueError(f"expected `optimizer` 'lbfgs' or 'sgd', found {name!r}")
    return name


def _class_weights(class_weight: Any) -> Any:
    if class_weight is None:
        return "uniform"
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise TagwiseValueError(f"expected `class_weight` None, 'balanced' or numbers, found {class_weight!r}")
        return "balanced"
    weights = as_vector(class_weight, "class_weight").tolist()
    return {"given": [_settings.number("class_weight", weight) for weight in weights]}


def _set_weights(set_weight: Any, sets: LabelSets) -> list[Any]:
    if set_weight is None:
        return []
    if not isinstance(set_weight, Mapping):
        raise TagwiseTypeError(
            f"expected `set_weight` as a mapping of label sets to weights, found {type(set_weight).__name__}"
        )
    if not set_weight:
        return []
    labels = as_targets(
        list(set_weight), "set_weight", num_classes=sets.num_classes, class_names=sets.class_names
    ).to_lists()
    weights = [_settings.number("set_weight", weight) for weight in set_weight.values()]
    return [list(pair) for pair in zip(labels, weights, strict=True)]
