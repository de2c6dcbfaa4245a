"""Splits that keep the share of every label."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import cross_val_score  # noqa: E402
from sklearn.multioutput import MultiOutputClassifier  # noqa: E402

from tagwise.sklearn import MultilabelStratifiedKFold, train_test_split  # noqa: E402


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    Y = (rng.random((500, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.01]).astype(int)
    return rng.normal(size=(500, 3)), Y


def test_folds_are_a_partition_with_equal_shares_of_every_label(data):
    X, Y = data
    tests = [test for _, test in MultilabelStratifiedKFold(5).split(X, Y)]
    assert sorted(np.concatenate(tests)) == list(range(500))
    for train, test in MultilabelStratifiedKFold(5).split(X, Y):
        assert len(np.intersect1d(train, test)) == 0 and len(train) + len(test) == 500
        assert abs(len(test) - 100) <= 5
        assert (np.abs(Y[test].sum(0) - Y.sum(0) / 5) <= 2).all()


def test_the_seed_decides(data):
    X, Y = data
    splits = [list(MultilabelStratifiedKFold(3, random_state=seed).split(X, Y)) for seed in (0, 0, 1)]
    assert np.array_equal(splits[0][0][1], splits[1][0][1])
    assert not np.array_equal(splits[0][0][1], splits[2][0][1])


def test_scikit_learn_takes_the_folds(data):
    X, Y = data
    scores = cross_val_score(
        MultiOutputClassifier(LogisticRegression()), X, Y, cv=MultilabelStratifiedKFold(4)
    )
    assert len(scores) == 4
    assert repr(MultilabelStratifiedKFold(4)) == "MultilabelStratifiedKFold(n_splits=4, random_state=0)"
    assert MultilabelStratifiedKFold(4).get_n_splits() == 4
    names = np.array(["a", "b"])[Y[:, 0]]
    test = next(iter(MultilabelStratifiedKFold(2).split(X, names)))[1]
    assert abs((names[test] == "a").mean() - (names == "a").mean()) < 0.01


def test_parts_have_the_sizes_and_the_shares_asked_for(data):
    sparse = pytest.importorskip("scipy.sparse")
    pandas = pytest.importorskip("pandas")
    X, Y = data
    X_train, X_test, Y_train, Y_test, rows_train, rows_test = train_test_split(
        pandas.DataFrame(X), sparse.csr_matrix(Y), list(range(500)), stratify=Y, test_size=0.2
    )
    assert isinstance(X_test, pandas.DataFrame) and sparse.issparse(Y_test)
    assert abs(len(rows_test) - 100) <= 3 and sorted(rows_train + rows_test) == list(range(500))
    assert np.array_equal(X_test.to_numpy(), X[rows_test])
    assert np.array_equal(Y_train.toarray(), Y[rows_train])
    assert (np.abs(Y[rows_test].sum(0) - Y.sum(0) / 5) <= 2).all()
    first, second = train_test_split(Y, stratify=Y, test_size=50, train_size=100)
    assert abs(len(first) - 100) <= 3 and abs(len(second) - 50) <= 3
    assert abs(len(train_test_split(Y, stratify=Y)[1]) - 125) <= 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda Y: MultilabelStratifiedKFold(1), "expected n_splits as a whole number of at least 2, found 1"),
        (lambda Y: MultilabelStratifiedKFold(2.5), "found 2.5"),
        (lambda Y: next(MultilabelStratifiedKFold(3).split(Y)), "expected y, the targets whose labels keep"),
        (lambda Y: next(MultilabelStratifiedKFold(9).split(Y[:4], Y[:4])), "expected at least 9 samples"),
        (lambda Y: train_test_split(stratify=Y), "expected at least one array to split, found none"),
        (lambda Y: train_test_split(Y, stratify=Y, test_size=0), "expected test_size as a share"),
        (lambda Y: train_test_split(Y, stratify=Y, train_size=500), "expected train_size as a share"),
        (lambda Y: train_test_split(Y, stratify=Y, test_size=0.7, train_size=0.7), "found shares 0.7 and 0.7"),
        (lambda Y: train_test_split(Y, stratify=Y[:5]), "inconsistent numbers of samples"),
    ],
)
def test_bad_input_ends_in_one_sentence(data, call, message):
    with pytest.raises(ValueError) as failure:
        call(data[1])
    assert message in str(failure.value)
