"""One-nearest-neighbour decoding as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tagwise import OneNearestNeighbour
from tagwise.errors import TagwiseValueError
from tagwise.sklearn._targets import Encoding, encode, sets_to_array

__all__ = ["OneNearestNeighbourClassifier"]


class OneNearestNeighbourClassifier(ClassifierMixin, BaseEstimator):
    """The label set whose prototype is nearest, among *all* label sets.

    Prototypes are sums of class means, so sets that never occurred in training can be the answer.
    With label-set prototypes and priors under the Mahalanobis distance, the default, this is linear
    discriminant analysis over label sets. With one class for each sample it is that over classes.

    Parameters
    ----------
    distance : {"mahalanobis", "euclidean", "cosine"}, default="mahalanobis"
        By which distance a prototype is near; "cosine" is the paper's, for collapsed features.
    prototypes : {"label-sets", "tag-averages"}, default="label-sets"
        Means of the label sets seen in training, shrunk towards sums of class means, or only these
        sums.
    prior : {"label-set", "multiplicity", "none"}, default="label-set"
        How likely label sets are before the feature is seen.
    empty_set : {"never", "measured"} or float, default="measured"
        Whether the answer may be the empty set: when the mean of unlabelled training samples is
        nearest, or when the best score of all other sets is below a number.
    max_multiplicity : int, default=None
        The largest number of labels of an answer; that of the training samples unless given.
    max_nodes : int, default=1_000_000
        Nodes that the search may visit for one sample.

    Attributes
    ----------
    classes_ : array of shape (K,)
        The classes; numbers of columns where y is an indicator matrix.
    decoder_ : tagwise.OneNearestNeighbour
        The fitted decoder; ``decoder_.save(path)``, and ``decoder_.decode(X)`` gives margins too.

    References
    ----------
    Li et al. 2024 (arXiv 2310.15903), section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from tagwise.sklearn import OneNearestNeighbourClassifier
    >>> rng = np.random.default_rng(0)
    >>> Y = rng.integers(0, 2, (100, 3))
    >>> X = Y @ np.eye(3, 5) + 0.01 * rng.normal(size=(100, 5))
    >>> float(OneNearestNeighbourClassifier().fit(X, Y).score(X, Y))
    1.0
    """

    def __init__(
        self,
        distance: Literal["mahalanobis", "euclidean", "cosine"] = "mahalanobis",
        *,
        prototypes: Literal["label-sets", "tag-averages"] = "label-sets",
        prior: Literal["label-set", "multiplicity", "none"] = "label-set",
        empty_set: Literal["never", "measured"] | float = "measured",
        max_multiplicity: int | None = None,
        max_nodes: int = 1_000_000,
    ) -> None:
        self.distance = distance
        self.prototypes = prototypes
        self.prior = prior
        self.empty_set = empty_set
        self.max_multiplicity = max_multiplicity
        self.max_nodes = max_nodes

    def fit(self, X: Any, y: Any) -> OneNearestNeighbourClassifier:
        """Estimates prototypes, spread and priors.

        Parameters
        ----------
        X : array or sparse matrix of shape (N, d)
        y : indicator matrix of shape (N, K), dense or sparse, or classes of shape (N,)
        """
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32])
        hot, encoding = encode(y)
        if X.shape[0] != len(hot):
            raise TagwiseValueError(f"expected y of {X.shape[0]} samples as X has, found {len(hot)}")
        if self.distance == "mahalanobis" and len(hot) == 1:
            raise TagwiseValueError("expected samples that show a spread, found 1 sample")
        self._encoding: Encoding = encoding
        self.classes_ = encoding.classes
        empty_set = self.empty_set
        if empty_set == "measured" and hot.any(1).all():
            empty_set = "never"
        self.decoder_ = OneNearestNeighbour.fit(
            X,
            hot,
            distance=self.distance,
            prototypes=self.prototypes,
            prior=self.prior,
            empty_set=empty_set,
            max_multiplicity=self.max_multiplicity if encoding.is_multilabel else 1,
            max_nodes=self.max_nodes,
        )
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Label sets as 0 and 1, ``[N, K]``, or the class of each sample, ``[N]``."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
        return self._encoding.decode(sets_to_array(self.decoder_.decode(X).sets))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        return tags
