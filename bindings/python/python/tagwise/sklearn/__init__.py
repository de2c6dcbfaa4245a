"""Classifiers and splits of multi-label data as scikit-learn has them.

>>> from sklearn.datasets import make_multilabel_classification
>>> from tagwise.sklearn import PickAllLabelsClassifier, train_test_split
>>> X, Y = make_multilabel_classification(200, random_state=0)
>>> X_train, X_test, Y_train, Y_test = train_test_split(X, Y, stratify=Y, random_state=0)
>>> PickAllLabelsClassifier().fit(X_train, Y_train).predict(X_test).shape
(50, 5)
"""

from __future__ import annotations

from tagwise._missing import need

need("sklearn", extra="sklearn", module="tagwise.sklearn")

from tagwise.sklearn.linear import PickAllLabelsClassifier  # noqa: E402
from tagwise.sklearn.nearest import OneNearestNeighbourClassifier  # noqa: E402
from tagwise.sklearn.split import MultilabelStratifiedKFold, train_test_split  # noqa: E402

__all__ = [
    "MultilabelStratifiedKFold",
    "OneNearestNeighbourClassifier",
    "PickAllLabelsClassifier",
    "train_test_split",
]
