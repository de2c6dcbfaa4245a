"""Label sets as a sequence, as arrays and under names."""

import numpy as np
import pytest

import tagwise


def test_a_sequence_of_tuples():
    sets = tagwise.LabelSets([[2, 0], [], [1]], num_classes=4)
    assert len(sets) == 3 and sets.shape == (3, 4)
    assert list(sets) == [(0, 2), (), (1,)] and sets[-1] == (1,) and (1,) in sets
    assert sets.multiplicities.tolist() == [2, 0, 1]
    assert list(sets[1:]) == [(), (1,)] and list(sets[[2, 0]]) == [(1,), (0, 2)]
    assert list(sets[np.array([True, False, True])]) == [(0, 2), (1,)]
    assert sets.counts() == {(): 1, (1,): 1, (0, 2): 1}
    assert sets.to_lists() == [[0, 2], [], [1]]
    assert sets == tagwise.LabelSets(sets.to_array()) != tagwise.LabelSets([[0]])
    assert sets != "sets" and "3 samples, 4 classes: (0, 2), (), (1,)" in repr(sets)
    with pytest.raises(IndexError, match="expected a sample below 3, found 3"):
        sets[3]
    with pytest.raises(TypeError):
        hash(sets)


def test_arrays_and_sparse_matrices(samples):
    pytest.importorskip("scipy")
    _, targets = samples
    sets = tagwise.LabelSets(targets)
    np.testing.assert_array_equal(np.asarray(sets), targets)
    assert np.asarray(sets).dtype == np.uint8 and np.array(sets, dtype=float).dtype == float
    assert sets.to_array(bool).dtype == bool
    np.testing.assert_array_equal(sets.to_csr().toarray(), targets)
    with pytest.raises(ValueError, match="a copy cannot be avoided"):
        np.array(sets, copy=False)


def test_names_are_kept():
    sets = tagwise.LabelSets([["sky", "sea"], [], ["dog"]])
    assert sets.class_names == ("dog", "sea", "sky")
    assert sets.to_names() == [("sea", "sky"), (), ("dog",)]
    assert sets[::2].class_names == sets.class_names
    ordered = tagwise.LabelSets([["sky"]], class_names=["sky", "sea"])
    assert ordered.num_classes == 2 and ordered[0] == (0,)
    assert tagwise.LabelSets([[1]], class_names=["sky", "sea"]).to_names() == [("sea",)]
    assert tagwise.LabelSets([[1]]).to_names() == [("1",)]
    assert list(tagwise.LabelSets(["cat", "ant", "cat"])) == [(1,), (0,), (1,)]
    assert list(tagwise.LabelSets(np.array(["cat", "ant"]))) == [(1,), (0,)]
    assert tagwise.analyze([[1.0], [2.0]], [["a"], ["b"]]).to_dict()["num_classes"] == 2


def test_columns_of_frames_are_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1, 0], [1, 1]], columns=["sea", "sky"])
    assert tagwise.LabelSets(frame).to_names() == [("sea",), ("sea", "sky")]
    assert tagwise.LabelSets(pandas.DataFrame([[1, 0]])).class_names is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(targets=[[1, 0, 1]]), "found label 1 twice in sample 0; give rows of 0 and 1 as an array"),
        (dict(targets=[[0], [-1]]), "class numbers of at least 0, found -1 in sample 1"),
        (dict(targets=[[5]], num_classes=3), "expected labels 0 to 2, found 5 in sample 0"),
        (dict(targets=[[1 << 70]]), "class numbers below"),
        (dict(targets=[[0.5]]), "found float in sample 0"),
        (dict(targets=[[True, False]]), "found bool in sample 0; give rows of 0 and 1 as one array"),
        (dict(targets=[np.array([0, 1])]), "found ndarray in sample 0; give rows of 0 and 1 as one array, with np.stack"),
        (dict(targets=[["a"], [1]]), "expected class names throughout, found the number 1 in sample 1"),
        (dict(targets=[["a"], ["c"]], class_names=["a", "b"]), r"expected one of the 2 class names \(a, b\), found 'c' in sample 1"),
        (dict(targets=np.array([[0, 2]])), "expected targets of 0 and 1, found 2 at row 0, column 1"),
        (dict(targets=np.array([[0.5, 1]])), "expected targets of 0 and 1, found 0.5 at row 0, column 0"),
        (dict(targets=np.array([[np.nan, 1]])), "found NaN at row 0, column 0"),
        (dict(targets=np.array([[-1, 1]], dtype=np.int8)), "found -1 at row 0, column 0"),
        (dict(targets=np.array([[1j]])), "expected `targets` of 0 and 1, found an array of complex128"),
        (dict(targets=np.array([[1, 0]], dtype=object)), r"expected `targets` of 0 and 1 as numbers, found an array of objects; convert it with .astype\(int\)"),
        (dict(targets=np.eye(2), class_names=["a"]), "expected 2 names in `class_names`, one for each class of `targets`, found 1"),
        (dict(targets=np.ones((2, 2, 2))), r"found float64 of shape \[2, 2, 2\]"),
        (dict(targets=np.ones(3)), r"or \[N\] of class numbers, found float64 of shape \[3\]"),
        (dict(targets=np.ones((3, 0))), "with a column for each class, found none"),
        (dict(targets=np.eye(3), num_classes=4), "expected 4 classes in `targets`, found 3"),
        (dict(targets=[[], []]), "expected a class at least in `targets`, found none"),
        (dict(targets="cat"), "a list for each sample, found 'cat'"),
        (dict(targets={0: 1}), "a list for each sample"),
        (dict(targets=3), "a list for each sample, found int"),
        (dict(targets=[[0]], num_classes=0), "expected `num_classes` of at least 1"),
        (dict(targets=[[0]], class_names="ab"), "as a list of names, found the text 'ab'"),
        (dict(targets=[[0]], class_names=["a", "a"]), "that differ, found 'a' twice"),
        (dict(targets=[[0]], class_names=[1]), "as texts, found 1"),
        (dict(targets=[[0]], class_names=["a"], num_classes=2), "expected 2 class names"),
        (dict(targets=[[0]], num_classes=1 << 60), "number of classes of at most 16777216"),
    ],
)
def test_bad_label_sets_are_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence) as error:
        tagwise.LabelSets(**arguments)
    assert isinstance(error.value, (ValueError, TypeError))


def test_sparse_targets_are_checked():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    two = scipy_sparse.csr_array(np.array([[0, 0, 0], [0, 2, 1]]))
    with pytest.raises(tagwise.TagwiseValueError, match="found 2 at row 1, column 1"):
        tagwise.LabelSets(two)
    twice = scipy_sparse.coo_array(([1, 1], ([0, 0], [1, 1])), shape=(1, 3)).tocsr()
    with pytest.raises(tagwise.TagwiseValueError, match="found 2 at row 0, column 1"):
        tagwise.LabelSets(twice)
    kept_zero = scipy_sparse.csr_array((np.array([0, 1]), np.array([0, 2]), np.array([0, 2])), shape=(1, 3))
    assert list(tagwise.LabelSets(kept_zero)) == [(2,)]


def test_another_argument_is_named():
    with pytest.raises(tagwise.TagwiseValueError, match="`sets`: expected labels 0 to 1, found 4 in sample 0"):
        tagwise.evaluate([[4]], np.array([[1, 0]]))


def test_folds_keep_the_share_of_labels(samples):
    _, targets = samples
    folds = tagwise.stratified_folds(targets, [0.8, 0.2], seed=3)
    assert folds.dtype == np.int64 and abs((folds == 1).sum() - 80) < 20
    share = targets[folds == 1].sum(axis=0) / targets.sum(axis=0)
    assert np.abs(share - 0.2).max() < 0.01
    np.testing.assert_array_equal(folds, tagwise.stratified_folds(targets, [4, 1], seed=3))
    assert (folds != tagwise.stratified_folds(targets, [4, 1], seed=4)).any()
    for shares, sentence in (([], "share of every fold"), ([1, 0], "greater than 0"), ([[1]], r"shape \[folds\]")):
        with pytest.raises(tagwise.TagwiseValueError, match=sentence):
            tagwise.stratified_folds(targets, shares)


def test_etfs_have_equal_angles():
    for num_classes, dim in ((2, 1), (5, 4), (5, 5), (5, 9)):
        etf = tagwise.simplex_etf(num_classes, dim)
        expected = (num_classes * np.eye(num_classes) - 1) / (num_classes - 1)
        np.testing.assert_allclose(etf @ etf.T, expected, atol=1e-13)
        assert tagwise.simplex_etf_error(3 * etf) < 1e-12
    for arguments, sentence in (
        ((1, 3), "expected the number of classes of at least 2"),
        ((4, 2), "no simplex ETF of 4 classes exists in 2 dimensions; use at least 3"),
        ((1 << 20, 1 << 20), "expected at most"),
        ((2.5, 3), "expected `num_classes` as a whole number"),
    ):
        with pytest.raises(tagwise.TagwiseError, match=sentence):
            tagwise.simplex_etf(*arguments)
    for weight, sentence in (
        (np.ones((1, 2)), "of at least 2"),
        (np.zeros((2, 2)), "only zero rows"),
        ([[np.nan], [1.0]], "finite"),
        (3, r"expected `weight` as an array, found int"),
    ):
        with pytest.raises(tagwise.TagwiseError, match=sentence):
            tagwise.simplex_etf_error(weight)
