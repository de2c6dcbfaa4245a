"""A linear head with a multi-label loss and a tuned rule, as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from tagwise import LOSSES, Decoder, Head, LogitRule, fit, stratified_folds
from tagwise.errors import TagwiseValueError
from tagwise.sklearn._targets import Encoding, encode, sets_to_array

__all__ = ["PickAllLabelsClassifier"]


def _has_probabilities(self: PickAllLabelsClassifier) -> bool:
    """Losses whose minimum is at the true probabilities; a softmax shared by several labels has none."""
    encoding = getattr(self, "_encoding", None)
    if encoding is not None and encoding.is_multilabel:
        return self.loss in ("bce", "set-likelihood")
    return self.loss in ("pal", "pal-n", "bce")


class PickAllLabelsClassifier(ClassifierMixin, BaseEstimator):
    """A linear classifier of label sets: pick-all-labels or another multi-label loss, tuned inside.

    Fitting chooses the weight decay of least loss on samples held out, fits the head on all samples,
    and tunes the rule that turns its logits into label sets on logits of samples that the head did
    not see. With one class for each sample it is multinomial logistic regression under pick-all-labels,
    and predicts the class with the largest logit.

    Parameters
    ----------
    loss : {"pal", "pal-n", "bce", "focal", "asl", "zlpr", "set-likelihood"}, default="pal-n"
        The loss, with the parameters that its authors recommend. The set likelihood gives every label set a
        probability, so that nothing is left to tune.
    weight_decay : float, default=None
        λ of λ‖W‖² beside the mean loss, for standardised features; chosen unless given.
    rule : str, default=None
        How logits become label sets: "threshold" (the default), "label-thresholds", "top-k", "proportional",
        "largest-gap", "predicted-multiplicity" or "expected-f1". For the set likelihood "most-probable" (its
        default) or "expected-f1" of the distribution over label sets; other rules are tuned on its logits.
    criterion : str, default="subset-accuracy"
        What the rule is tuned for: "subset-accuracy", "hamming-accuracy", "jaccard-samples",
        "f1-samples", "f1-micro" or "f1-macro".
    validation_fraction : float, default=0.2
        Share of the samples held out, stratified by labels.
    class_weight : "balanced", dict or array of shape (K,), default=None
        How much a label counts where it is in a set.
    balance : float, default=0.0
        Samples weigh n_S^(−balance) with n_S the number of samples of their label set.
    scaling : {"standardise", "none", "maximum"}, default=None
        How features are scaled while the head is fitted; sparse ones are not centred. Chosen on the samples held
        out, with the weight decay, unless given.
    kind : {"linear", "fixed-etf"}, default="linear"
        Any weight, or a simplex ETF on a learned projection.
    tol : float, default=1e-4
        Largest entry of the gradient at which the fit has converged.
    max_iter : int, default=5000
        Largest number of L-BFGS steps.
    random_state : int, RandomState instance or None, default=0
        Which samples are held out.

    Attributes
    ----------
    classes_ : array of shape (K,)
        The classes; numbers of columns where y is an indicator matrix.
    head_ : tagwise.Head
        The fitted head; ``head_.weight``, ``head_.save(path)``.
    rule_ : tagwise.LogitRule, tagwise.Decoder or None
        The tuned rule, where y is an indicator matrix; the decoder of a distribution over label sets.
    coef_, intercept_ : arrays of shape (K, d) and (K,)
        The weight and bias of the head.
    n_iter_ : int
        Steps of the last fit.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from tagwise.sklearn import PickAllLabelsClassifier
    >>> X = np.repeat([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 20, axis=0)
    >>> Y = X.astype(int)
    >>> PickAllLabelsClassifier().fit(X, Y).predict([[1.0, 1.0]])
    array([[1, 1]])
    """

    def __init__(
        self,
        loss: str = "pal-n",
        *,
        weight_decay: float | None = None,
        rule: str | None = None,
        criterion: str = "subset-accuracy",
        validation_fraction: float = 0.2,
        class_weight: Any = None,
        balance: float = 0.0,
        scaling: Literal["standardise", "none", "maximum"] | None = None,
        kind: Literal["linear", "fixed-etf"] = "linear",
        tol: float = 1e-4,
        max_iter: int = 5000,
        random_state: Any = 0,
    ) -> None:
        self.loss = loss
        self.weight_decay = weight_decay
        self.rule = rule
        self.criterion = criterion
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.balance = balance
        self.scaling = scaling
        self.kind = kind
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> PickAllLabelsClassifier:
        """Fits head and rule.

        Parameters
        ----------
        X : array or sparse matrix of shape (N, d)
        y : indicator matrix of shape (N, K), dense or sparse, or classes of shape (N,)
        """
        self._check_options()
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32])
        hot, encoding = encode(y)
        if X.shape[0] != len(hot):
            raise TagwiseValueError(f"expected y of {X.shape[0]} samples as X has, found {len(hot)}")
        self._encoding: Encoding = encoding
        self.classes_ = encoding.classes
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        held_out = self._held_out(hot, seed)
        self.head_: Head = self._fit_head(X, hot, self.weight_decay, self.scaling, seed)
        self.rule_ = self._fit_rule(X, hot, held_out, seed) if encoding.is_multilabel else None
        self.coef_, self.intercept_ = self.head_.weight, self.head_.bias
        self.n_iter_ = max(1, self.head_.num_iterations or 0)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """The logits of the head, ``[N, K]``; for two classes the difference, ``[N]``."""
        X = self._checked(X)
        logits = self.head_.decision_function(X)
        return logits[:, 1] - logits[:, 0] if self._encoding.is_binary else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """Label sets as 0 and 1, ``[N, K]``, or the class of each sample, ``[N]``."""
        X = self._checked(X)
        if isinstance(self.rule_, Decoder):
            return self._encoding.decode(sets_to_array(self.rule_.decode(X).sets))
        logits = self.head_.decision_function(X)
        if self.rule_ is None:
            return self._encoding.decode_best(logits)
        return self._encoding.decode(sets_to_array(self.rule_.decode(logits)))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, ``[N, K]``: of each label with ``loss="bce"`` and ``"set-likelihood"``, of each class where
        samples have one.

        There are none for other losses with label sets: the softmax of pick-all-labels is shared by
        all labels of a sample, and focal, asymmetric and ZLPR loss shift the sigmoid.
        """
        X = self._checked(X)
        if self.loss == "set-likelihood":
            return self.head_.predict_proba(X)
        logits = self.head_.decision_function(X)
        if self.loss == "bce":
            each: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))  # σ without overflow
            if self._encoding.is_multilabel:
                return each
        else:
            each = np.exp(logits - logits.max(1, keepdims=True))
        shares: NDArray[np.float64] = each / each.sum(1, keepdims=True).clip(min=1e-300)
        return shares

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])

    def _check_options(self) -> None:
        names = [info.name for info in LOSSES]
        if self.loss not in names:
            raise TagwiseValueError(f"expected loss to be one of {', '.join(names)}, found {self.loss!r}")
        if not 0.0 < self.validation_fraction < 1.0:
            raise TagwiseValueError(
                "expected validation_fraction between 0 and 1, found "
                f"{self.validation_fraction!r}"
            )

    def _held_out(self, hot: NDArray[np.uint8], seed: int) -> NDArray[np.bool_]:
        """The samples that the rule is tuned on, none when there are too few to spare."""
        share = self.validation_fraction
        if round(len(hot) * share) < 1 or len(hot) < 4:
            return np.zeros(len(hot), np.bool_)
        return np.equal(stratified_folds(hot, [1.0 - share, share], seed=seed), 1)

    def _fit_head(
        self,
        X: Any,
        hot: NDArray[np.uint8],
        weight_decay: float | None,
        scaling: Any,
        seed: int,
    ) -> Head:
        if weight_decay is None and not self._held_out(hot, seed).any():
            weight_decay = 1e-2  # too few samples to choose one
        return fit(
            X,
            hot,
            loss=self.loss,
            kind=self.kind,
            weight_decay=weight_decay,
            held_out=self.validation_fraction,
            class_weight=self._class_weight(hot),
            balance=self.balance,
            scaling=scaling,
            tol=self.tol,
            max_iter=self.max_iter,
            seed=seed,
        )

    def _class_weight(self, hot: NDArray[np.uint8]) -> Any:
        if self.class_weight is None or self.class_weight == "balanced":
            return self.class_weight
        if not isinstance(self.class_weight, dict):
            return np.asarray(self.class_weight, dtype=np.float64)
        present = hot.argmax(1) if not self._encoding.is_multilabel else np.arange(len(self.classes_))
        return compute_class_weight(
            self.class_weight, classes=self.classes_, y=self.classes_[present]
        )

    def _fit_rule(
        self, X: Any, hot: NDArray[np.uint8], held_out: NDArray[np.bool_], seed: int
    ) -> LogitRule | Decoder:
        """Tunes the rule on logits of a head with the same settings that saw only the others."""
        head = self.head_
        if self.loss == "set-likelihood" and self.rule in (None, "most-probable", "expected-f1"):
            return Decoder.fit(head=head, decoder=self.rule or "most-probable")
        if held_out.any() and hot[~held_out].any():
            seen = np.flatnonzero(~held_out)
            scaling = head.description["settings"]["scaling"]
            head = self._fit_head(X[seen], hot[seen], head.weight_decay, scaling, seed)
        rows = np.flatnonzero(held_out) if held_out.any() else np.arange(len(hot))
        link: Any = next(info.link for info in LOSSES if info.name == self.loss)
        return LogitRule.fit(
            head.decision_function(X[rows]),
            hot[rows],
            rule=self.rule or "threshold",
            link=link,
            criterion=self.criterion,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        return tags
