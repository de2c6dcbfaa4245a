"""The classifiers in scikit-learn's own checks and in what its users put them into."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import make_classification, make_multilabel_classification  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import tagwise  # noqa: E402
from tagwise.sklearn import (  # noqa: E402
    MultilabelStratifiedKFold,
    OneNearestNeighbourClassifier,
    PickAllLabelsClassifier,
)

CLASSIFIERS = [PickAllLabelsClassifier(), OneNearestNeighbourClassifier()]


@parametrize_with_checks(
    [*CLASSIFIERS, PickAllLabelsClassifier(loss="bce", rule="expected-f1"), OneNearestNeighbourClassifier("cosine")]
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    X, Y = make_multilabel_classification(
        240, n_features=20, n_classes=4, n_labels=2, allow_unlabeled=False, random_state=0
    )
    return X.astype(np.float64), Y


@pytest.mark.parametrize("loss", [info.name for info in tagwise.LOSSES])
def test_every_loss_fits_dense_and_sparse_samples(data, loss):
    sparse = pytest.importorskip("scipy.sparse")
    X, Y = data
    classifier = PickAllLabelsClassifier(loss, scaling="none", weight_decay=1e-3)
    dense = classifier.fit(X, Y)
    predicted = dense.predict(X)
    assert predicted.shape == Y.shape and predicted.dtype == Y.dtype
    assert f1_score(Y, predicted, average="samples") > 0.6
    other = clone(classifier).fit(sparse.csr_matrix(X), sparse.csr_matrix(Y))
    assert np.abs(other.decision_function(sparse.csr_array(X)) - dense.decision_function(X)).max() < 0.05
    assert (other.predict(sparse.csr_matrix(X)) == predicted).mean() > 0.98


def test_it_is_the_head_of_the_library_with_its_rule(data):
    X, Y = data
    classifier = PickAllLabelsClassifier("bce", random_state=np.random.RandomState(3)).fit(X, Y)
    logits = classifier.head_.decision_function(X)
    assert np.array_equal(classifier.decision_function(X), logits)
    assert np.array_equal(classifier.predict(X), np.asarray(classifier.rule_.decode(logits)))
    assert np.allclose(classifier.predict_proba(X), 1 / (1 + np.exp(-logits)), rtol=1e-12)
    assert classifier.coef_.shape == (4, 20) and classifier.intercept_.shape == (4,)
    assert classifier.head_.weight_decay is not None and classifier.n_iter_ >= 1


def test_the_set_likelihood_is_decoded_by_its_distribution(data):
    X, Y = data
    classifier = PickAllLabelsClassifier("set-likelihood", weight_decay=1e-3).fit(X, Y)
    decoded = tagwise.Decoder.fit(head=classifier.head_, decoder="most-probable").decode(X)
    assert np.array_equal(classifier.predict(X), np.asarray(decoded.sets))
    assert np.allclose(classifier.predict_proba(X), classifier.head_.predict_proba(X))
    by_f1 = clone(classifier).set_params(rule="expected-f1").fit(X, Y)
    assert f1_score(Y, by_f1.predict(X), average="samples") > f1_score(Y, classifier.predict(X), average="samples")
    by_threshold = clone(classifier).set_params(rule="threshold").fit(X, Y)
    assert isinstance(by_threshold.rule_, tagwise.LogitRule)


def test_the_rule_is_tuned_for_the_criterion(data):
    X, Y = data
    by_f1 = PickAllLabelsClassifier("bce", rule="label-thresholds", criterion="f1-macro").fit(X, Y)
    by_sets = PickAllLabelsClassifier("bce", rule="label-thresholds").fit(X, Y)
    assert not np.array_equal(by_f1.predict(X), by_sets.predict(X))


def test_with_one_class_for_each_sample_it_is_logistic_regression():
    X, y = make_classification(400, 6, n_informative=5, n_redundant=0, n_classes=3, random_state=1)
    names = np.array(["ant", "bee", "cat"])[y]
    ours = PickAllLabelsClassifier("pal", weight_decay=1e-3, scaling="none", tol=1e-7).fit(X, names)
    theirs = LogisticRegression(C=1 / (2 * 1e-3 * 400), tol=1e-10, max_iter=5000).fit(X, names)
    assert np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max() < 1e-4
    assert list(ours.classes_) == list(theirs.classes_)
    assert (ours.predict(X) == theirs.predict(X)).mean() > 0.99


def test_probabilities_are_offered_where_they_mean_something(data):
    X, Y = data
    assert hasattr(PickAllLabelsClassifier("pal"), "predict_proba")
    assert hasattr(PickAllLabelsClassifier("pal").fit(X, Y[:, 0]), "predict_proba")
    assert not hasattr(PickAllLabelsClassifier("pal").fit(X, Y), "predict_proba")
    assert not hasattr(PickAllLabelsClassifier("asl"), "predict_proba")
    shares = PickAllLabelsClassifier("bce").fit(X, Y.argmax(1)).predict_proba(X)
    assert np.allclose(shares.sum(1), 1)


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
def test_pipelines_searches_copies_and_pickles(data, classifier):
    X, Y = data
    pipeline = make_pipeline(StandardScaler(), classifier)
    scores = cross_val_score(pipeline, X, Y, cv=MultilabelStratifiedKFold(3))
    assert scores.shape == (3,) and scores.mean() > 0.2
    predicted = cross_val_predict(pipeline, X, Y, cv=MultilabelStratifiedKFold(3))
    assert predicted.shape == Y.shape
    name, values = (
        ("loss", ["pal-n", "bce"])
        if isinstance(classifier, PickAllLabelsClassifier)
        else ("distance", ["mahalanobis", "cosine"])
    )
    grid = {f"{type(classifier).__name__.lower()}__{name}": values}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="f1_samples", n_jobs=2).fit(X, Y)
    assert search.best_score_ > 0.3
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert np.array_equal(again.predict(X), search.predict(X))
    assert clone(classifier).get_params() == classifier.get_params()


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
def test_data_frames_keep_their_names(data, classifier):
    pandas = pytest.importorskip("pandas")
    X, Y = data
    frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, clone(classifier)).fit(frame, pandas.DataFrame(Y))
    assert list(pipeline[-1].feature_names_in_) == list(frame.columns)
    assert pipeline.predict(frame).shape == Y.shape


def test_unseen_label_sets_can_be_the_answer():
    rng = np.random.default_rng(0)
    Y = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]] * 30)
    X = Y + 0.02 * rng.normal(size=Y.shape)
    classifier = OneNearestNeighbourClassifier("cosine", prototypes="tag-averages", prior="none")
    assert classifier.fit(X, Y).predict([[0.0, 1.0, 1.0]]).tolist() == [[0, 1, 1]]


def test_the_empty_set_is_an_answer_when_it_was_seen():
    rng = np.random.default_rng(0)
    Y = np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 30)
    X = 3 * Y + 0.1 * rng.normal(size=Y.shape)
    predicted = OneNearestNeighbourClassifier().fit(X, Y).predict([[0.0, 0.0], [3.0, 3.0]])
    assert predicted.tolist() == [[0, 0], [1, 1]]


Y2 = np.tile(np.eye(4, dtype=int), (5, 1))
X2 = Y2 + np.arange(80).reshape(20, 4) % 7 / 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PickAllLabelsClassifier("hinge").fit(X2, Y2), "expected loss to be one of pal, pal-n, bce"),
        (lambda: PickAllLabelsClassifier(validation_fraction=1).fit(X2, Y2), "expected validation_fraction between 0 and 1, found 1"),
        (lambda: PickAllLabelsClassifier(rule="best").fit(X2, Y2), "best"),
        (lambda: PickAllLabelsClassifier().fit(X2, Y2[:3]), "samples"),
        (lambda: PickAllLabelsClassifier().fit(X2, 0.5 * Y2[:, 0] + 0.1), "Unknown label type: continuous"),
        (lambda: PickAllLabelsClassifier().fit(X2, 3 * Y2 - 2 * Y2[::-1]), "Unknown label type: multiclass-multioutput"),
        (lambda: PickAllLabelsClassifier().fit(X2, 2 * Y2 - 1), "an indicator matrix of 0 and 1, found -1"),
        (lambda: PickAllLabelsClassifier(class_weight=[1.0]).fit(X2, Y2), "class"),
        (lambda: OneNearestNeighbourClassifier("far").fit(X2, Y2), "far"),
        (lambda: OneNearestNeighbourClassifier().fit(X2 * np.nan, Y2), "NaN"),
        (lambda: OneNearestNeighbourClassifier().fit(X2, Y2).predict(X2[:, :2]), "2 features"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises(ValueError) as failure:
        call()
    assert message in str(failure.value)
