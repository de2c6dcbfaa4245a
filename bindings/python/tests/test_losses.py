"""Losses against formulas written in NumPy, and gradients against central differences."""

import numpy as np
import pytest

import tagwise

#: Central differences with h = 1e-6: h² times a third derivative of size 10, plus rounding 1e-16·10/h.
DIFFERENCE = 2e-8


def softplus(x):
    return np.logaddexp(0, x)


def log_softmax(z):
    return z - z.max(1, keepdims=True) - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True))


def focus(z, y, positive, negative, margin):
    p = 1 / (1 + np.exp(-z))
    shifted = np.maximum(p - margin, 0)
    return (y * (1 - p) ** positive * softplus(-z) - (1 - y) * shifted**negative * np.log1p(-shifted)).sum(1)


FORMULAS = {
    "pal": lambda z, y: -(y * log_softmax(z)).sum(1),
    "pal-n": lambda z, y: -(y * log_softmax(z)).sum(1) / np.maximum(y.sum(1), 1),
    "bce": lambda z, y: (y * softplus(-z) + (1 - y) * softplus(z)).sum(1),
    "focal": lambda z, y: focus(z, y, 2, 2, 0),
    "asl": lambda z, y: focus(z, y, 0, 4, 0.05),
    "zlpr": lambda z, y: np.log1p(((1 - y) * np.exp(z)).sum(1)) + np.log1p((y * np.exp(-z)).sum(1)),
}


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((40, 6))
    targets = (rng.random((40, 6)) < 0.3).astype(int)
    return logits, targets


def test_the_table_lists_every_loss():
    assert set(FORMULAS) <= {line.name for line in tagwise.LOSSES}
    focal = next(line for line in tagwise.LOSSES if line.name == "focal")
    assert (focal.link, focal.is_separable, focal.parameters) == ("sigmoid", True, {"gamma": 2.0})


@pytest.mark.parametrize("name", FORMULAS)
def test_values_follow_the_formula(name, batch):
    logits, targets = batch
    values, gradient = tagwise.loss_and_gradient(logits, targets, name)
    np.testing.assert_allclose(values, FORMULAS[name](logits, targets), rtol=1e-11, atol=1e-13)
    assert gradient.shape == logits.shape and values.dtype == gradient.dtype == np.float64


@pytest.mark.parametrize("name", [line.name for line in tagwise.LOSSES])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_differences(name, weighted, batch):
    logits, targets = batch
    class_weight = np.array([0.5, 1, 2, 3, 1, 0.1]) if weighted else None

    def values(z):
        return tagwise.loss_and_gradient(z, targets, name, class_weight=class_weight)[0]

    _, gradient = tagwise.loss_and_gradient(logits, targets, name, class_weight=class_weight)
    for k in range(logits.shape[1]):
        step = 1e-6 * np.eye(logits.shape[1])[k]
        slope = (values(logits + step) - values(logits - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, k], slope, atol=DIFFERENCE)


def test_class_weights_count_terms():
    weight = np.array([1.0, 3.0])
    value, gradient = tagwise.loss_and_gradient([[0.0, 0.0]], [[1]], "bce", class_weight=weight)
    assert value[0] == pytest.approx(4 * np.log(2)) and gradient.tolist() == [[0.5, -1.5]]


def test_reductions_agree(batch):
    logits, targets = batch
    values, gradient = tagwise.loss_and_gradient(logits, targets, "pal")
    total, total_gradient = tagwise.loss_and_gradient(logits, targets, "pal", reduction="sum")
    mean, mean_gradient = tagwise.loss_and_gradient(logits, targets, "pal", reduction="mean")
    assert total == pytest.approx(values.sum()) and mean == pytest.approx(values.mean())
    np.testing.assert_array_equal(total_gradient, gradient)
    np.testing.assert_array_equal(mean_gradient, gradient / len(values))
    empty, empty_gradient = tagwise.loss_and_gradient(np.ones((0, 6)), np.ones((0, 6)), "pal", reduction="mean")
    assert empty == 0.0 and empty_gradient.shape == (0, 6)


def test_parameters_are_those_of_the_loss(batch):
    logits, targets = batch
    plain = tagwise.loss_and_gradient(logits, targets, "bce")[0]
    np.testing.assert_allclose(tagwise.loss_and_gradient(logits, targets, "focal", gamma=0)[0], plain, rtol=1e-12)
    mapped = tagwise.loss_and_gradient(logits, targets, {"name": "focal", "gamma": 0})[0]
    np.testing.assert_allclose(mapped, plain, rtol=1e-12)
    mean = tagwise.loss_and_gradient(logits, targets, "pal", weighting="mean")[0]
    np.testing.assert_array_equal(mean, tagwise.loss_and_gradient(logits, targets, "pal-n")[0])


def test_empty_label_sets_cost_nothing_under_pick_all_labels():
    for name in ("pal", "pal-n"):
        values, gradient = tagwise.loss_and_gradient([[3.0, -1.0]], [[]], name)
        assert values.tolist() == [0.0] and gradient.tolist() == [[0.0, 0.0]]


def test_far_logits_are_finite():
    logits = np.array([[800.0, -800.0], [-800.0, 800.0]])
    for line in tagwise.LOSSES:
        values, gradient = tagwise.loss_and_gradient(logits, [[0], [0]], line.name)
        assert np.isfinite(values).all() and np.isfinite(gradient).all(), line.name


@pytest.mark.parametrize("name", [line.name for line in tagwise.LOSSES])
def test_a_masked_logit_is_left_out_and_others_that_are_not_finite_are_refused(name):
    value, gradient = tagwise.loss_and_gradient([[-np.inf, 0.5, 1.0]], [[1]], name)
    expected, slope = tagwise.loss_and_gradient([[0.5, 1.0]], [[0]], name)
    assert value[0] == pytest.approx(expected[0], rel=1e-12) and gradient[0, 0] == 0
    np.testing.assert_allclose(gradient[:, 1:], slope, rtol=1e-12)
    for wrong in (np.nan, np.inf):
        with pytest.raises(tagwise.TagwiseValueError, match="expected `logits` below infinity, found (nan|inf) at row 1, column 0"):
            tagwise.loss_and_gradient([[0.0, 0.0], [wrong, 0.0]], [[1], [1]], name)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(loss="hinge"), 'expected `loss` to be one of pal, .*, found "hinge"'),
        (dict(loss=3), "expected `loss` as a text, found 3"),
        (dict(loss="pal", gamma=2.0), "expected the parameters weighting of the loss pal, found gamma"),
        (dict(loss="bce", gamma=2.0), "expected no parameters of the loss bce, found gamma"),
        (dict(loss="focal", gamma=-1.0), "expected loss.gamma to be a finite number of at least 0, found -1"),
        (dict(loss="focal", gamma=np.nan), "expected `gamma` as a finite number, found nan"),
        (dict(loss="asl", margin=1.0), "expected loss.margin to be at least 0 and below 1"),
        (dict(loss="pal", weighting="max"), 'expected `weighting` to be sum or mean, found "max"'),
        (dict(class_weight=[1.0]), "expected 2 numbers in `class_weight`"),
        (dict(class_weight=[1.0, 0.0]), "expected `class_weight` greater than 0"),
        (dict(class_weight=[1.0, np.nan]), "expected `class_weight` greater than 0"),
        (dict(targets=[[0], [1]]), "expected 2 rows of logits, found 1"),
        (dict(targets=np.ones((1, 3))), "expected 2 classes in `targets`, found 3"),
        (dict(targets=[[2]]), "expected labels 0 to 1, found 2"),
        (dict(logits=[0.0]), r"expected `logits` of shape \[N, K\]"),
        (dict(reduction="max"), "expected `reduction` 'none', 'sum' or 'mean', found 'max'"),
        (dict(reduction=None), "expected `reduction` as a text"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence):
        tagwise.loss_and_gradient(**{"logits": [[0.0, 0.0]], "targets": [[0]], **arguments})
