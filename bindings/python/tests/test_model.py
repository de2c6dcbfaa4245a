"""The unconstrained feature model against its objective written in NumPy and SciPy's minimiser."""

import itertools

import numpy as np
import pytest

import tagwise


def objective(weight, means, bias, sets, counts, lambda_w=5e-3, lambda_h=None, lambda_b=1e-3):
    counts = np.asarray(counts, dtype=float)
    total = counts.sum()
    lambda_h = 5e-3 * len(weight) / total if lambda_h is None else lambda_h
    logits = means @ weight.T + bias
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    loss = -sum(n * log_p[i, list(s)].sum() for i, (s, n) in enumerate(zip(sets, counts, strict=True))) / total
    return loss + lambda_w * (weight**2).sum() + lambda_h * (counts @ (means**2).sum(axis=1)) + lambda_b * (bias**2).sum()


def test_the_value_is_that_of_the_point():
    solution = tagwise.ufm(num_classes=5, counts={1: 20, 2: 3})
    value = objective(solution.W, solution.means, solution.bias, solution.label_sets, solution.counts)
    assert solution.value == pytest.approx(value, rel=1e-12)
    assert solution.method == "closed-form" and solution.gap < 1e-9 and solution.lower_bound <= solution.value
    assert tagwise.simplex_etf_error(solution.weight) < 1e-10
    pairs = [i for i, s in enumerate(solution.label_sets) if len(s) == 2]
    for i in pairs:
        expected = solution.constants[2] * solution.W[list(solution.label_sets[i])].sum(axis=0)
        np.testing.assert_allclose(solution.means[i], expected, atol=1e-10)
    solved = tagwise.ufm(num_classes=5, counts={1: 20, 2: 3}, method="solver")
    assert solved.method == "solver" and solved.value == pytest.approx(solution.value, rel=1e-8)


def test_scipy_finds_nothing_lower():
    optimize = pytest.importorskip("scipy.optimize")
    targets = [[0]] * 16 + [[1]] * 4 + [[2]] * 2 + [[0, 2]] * 2
    solution = tagwise.ufm(targets, class_names=["a", "b", "c"])
    sets, counts = solution.label_sets, solution.counts
    assert list(sets) == [(0,), (1,), (2,), (0, 2)] and counts.tolist() == [16, 4, 2, 2]

    def value(x):
        weight, means = x[:9].reshape(3, 3), x[9:21].reshape(4, 3)
        return objective(weight, means, x[21:], sets, counts)

    starts = np.random.default_rng(0).standard_normal((5, 24))
    found = [optimize.minimize(value, x, method="L-BFGS-B", options={"maxfun": 200_000, "ftol": 1e-14}).fun for x in starts]
    assert solution.lower_bound <= min(found) + 1e-9
    assert solution.value == pytest.approx(min(found), rel=1e-6)
    assert solution.value == pytest.approx(objective(solution.W, solution.means, solution.bias, sets, counts), rel=1e-10)


def test_the_question_can_be_asked_in_three_ways():
    targets = [[0], [0], [1], [1], [0, 1]]
    by_targets = tagwise.ufm(targets)
    by_sets = tagwise.ufm(num_classes=2, counts={(0,): 2, (1,): 2, (0, 1): 1})
    by_size = tagwise.ufm(num_classes=2, counts={1: 2, 2: 1})
    by_totals = tagwise.ufm(num_classes=2, totals={1: 4, 2: 1})
    values = [s.value for s in (by_targets, by_sets, by_size, by_totals)]
    assert values == pytest.approx([values[0]] * 4, rel=1e-8)
    named = tagwise.ufm(class_names=["sea", "sky"], counts={("sea",): 2, ("sky",): 2, ("sea", "sky"): 1})
    assert named.value == pytest.approx(values[0], rel=1e-8)


def test_settings_reach_the_library():
    base = tagwise.ufm(num_classes=4, counts={1: 10, 2: 2})
    for settings in (
        dict(weighting="mean"),
        dict(lambda_w=0.01),
        dict(lambda_h=1e-3),
        dict(classifier="fixed-etf"),
        dict(features="non-negative"),
    ):
        assert abs(tagwise.ufm(num_classes=4, counts={1: 10, 2: 2}, **settings).value - base.value) > 1e-6, settings
    wide = tagwise.ufm(num_classes=4, counts={1: 10, 2: 2}, dim=6, bias="none")
    assert wide.weight.shape == (4, 6) and not wide.bias.any()
    assert tagwise.ufm(num_classes=4, counts={1: 10, 2: 2}, bias="free").value == pytest.approx(base.value, rel=1e-9)


def set_objective(weight, means, bias, potentials, sets, counts, lambda_w, lambda_h, lambda_b, lambda_c):
    """The objective with the set likelihood, all label sets of at most M labels enumerated."""
    counts = np.asarray(counts, dtype=float)
    every = [s for m in range(len(potentials)) for s in itertools.combinations(range(len(weight)), m)]
    hot = np.array([[k in s for k in range(len(weight))] for s in every], dtype=float)
    scores = (means @ weight.T + bias) @ hot.T + potentials[[len(s) for s in every]]
    log_p = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    loss = -sum(n * log_p[i, every.index(tuple(s))] for i, (s, n) in enumerate(zip(sets, counts, strict=True)))
    decay = lambda_w * (weight**2).sum() + lambda_h * (counts @ (means**2).sum(axis=1))
    return loss / counts.sum() + decay + lambda_b * (bias**2).sum() + lambda_c * (potentials**2).sum()


@pytest.mark.parametrize("method", ["auto", "solver"])
def test_the_set_likelihood_has_its_own_optimum(method):
    decays = dict(lambda_w=5e-3, lambda_h=2e-3, lambda_b=1e-3, lambda_c=1e-2)
    question = dict(num_classes=4, counts={0: 2, 1: 3, 2: 1}, loss="set-likelihood", **decays)
    solution = tagwise.ufm(method=method, **question)
    assert solution.method == ("closed-form" if method == "auto" else "solver")
    assert solution.verdict == "certified" and list(solution.label_sets)[0] == ()
    point = (solution.W, solution.means, solution.bias, solution.potentials)
    value = set_objective(*point, solution.label_sets, solution.counts, **decays)
    assert solution.value == pytest.approx(value, rel=1e-10)
    # Any other point is worse.
    other = np.random.default_rng(0)
    for _ in range(20):
        moved = [x + 0.05 * other.standard_normal(x.shape) for x in point]
        assert set_objective(*moved, solution.label_sets, solution.counts, **decays) > solution.lower_bound
    centred = solution.W - solution.W.mean(axis=0)
    assert tagwise.simplex_etf_error(centred) < 1e-6 < tagwise.simplex_etf_error(solution.W)
    again = tagwise.UfmSolution.from_bytes(solution.to_bytes())
    np.testing.assert_array_equal(again.potentials, solution.potentials)
    assert "set likelihood" in str(solution) and len(solution.potentials) == 3
    without = tagwise.ufm(multiplicities="none", max_multiplicity=3, **question)
    assert not without.potentials.any() and len(without.potentials) == 4 and without.value > solution.value


def test_many_label_sets_have_a_value_and_no_point():
    solution = tagwise.ufm(num_classes=10_000, totals={1: 30_000, 2: 10_000}, lambda_h=1e-9)
    assert solution.gap < 1e-9
    with pytest.raises(tagwise.TagwiseValueError, match="label sets"):
        solution.weight
    with pytest.raises(tagwise.TagwiseValueError, match="label sets"):
        solution.to_html()
    assert tagwise.UfmSolution.from_bytes(solution.to_bytes()) == solution


def test_a_solution_speaks_every_language(tmp_path):
    solution = tagwise.ufm([[0], [1], [2], [0, 1]], class_names=["a", "b", "c"])
    assert solution.to_dict()["num_classes"] == 3 and "Solved in" in str(solution) and "value" in repr(solution)
    solution.report(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert set(solution.constants) == {1, 2} and set(solution.label_mass) == {1, 2}
    for again in (solution, tagwise.UfmSolution.from_bytes(solution.to_bytes())):
        again.save_point(tmp_path / "point.safetensors")
        assert (tmp_path / "point.safetensors").stat().st_size > 100
        assert again._repr_html_() == solution._repr_html_()
        np.testing.assert_array_equal(again.means, solution.means)
    pandas = pytest.importorskip("pandas")
    table = solution.to_pandas()
    assert isinstance(table, pandas.DataFrame) and list(table["multiplicity"]) == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(), "expected one of `targets`, `counts` and `totals`, found none"),
        (dict(targets=[[0]], counts={1: 1}), "found targets and counts"),
        (dict(counts={1: 1}), "expected `num_classes` beside `counts`, found none"),
        (dict(counts=[1], num_classes=2), "expected `counts` as a mapping"),
        (dict(counts={5: 1}, num_classes=2), "expected the multiplicity to be at most the number of classes"),
        (dict(counts={1: -1}, num_classes=2), "finite and not negative, found -1"),
        (dict(counts={1: np.nan}, num_classes=2), "expected `counts` as a finite number"),
        (dict(counts={"one": 1}, num_classes=2), "expected `counts` as a whole number"),
        (dict(counts={(7,): 1}, num_classes=2), "`counts`: expected labels 0 to 1, found 7"),
        (dict(counts={1: 1}, num_classes=1), "at least 2"),
        (dict(targets=[[0], [0]]), "at least 2"),
        (dict(targets=[[], []], num_classes=2), "at least one sample with a label"),
        (dict(targets=[[0], [1]], lambda_w=0), "expected lambda_w to be greater than 0"),
        (dict(targets=[[0], [1]], lambda_h=-1), "expected lambda_h to be greater than 0"),
        (dict(targets=[[0], [1]], lambda_b=0), "expected lambda_b to be greater than 0"),
        (dict(targets=[[0], [1]], bias="some"), 'expected `bias` to be .*, found "some"'),
        (dict(targets=[[0], [0]], num_classes=2, bias="free"), "found none with class 1"),
        (dict(targets=[[0], [1]], weighting="max"), 'expected `weighting` to be .*, found "max"'),
        (dict(targets=[[0], [1]], features="positive"), 'expected `features` to be .*, found "positive"'),
        (dict(targets=[[0], [1]], classifier="random"), 'expected `classifier` to be .*, found "random"'),
        (dict(targets=[[0], [1]], method="fast"), "expected `method` 'auto' or 'solver'"),
        (dict(targets=[[0], [1]], gap=1.0), "expected `gap` from 0 to below 1, found 1"),
        (dict(targets=[[0], [1]], dim=0), "feature dimension to be at least 1"),
        (dict(targets=[[0], [1], [2]], dim=1, classifier="fixed-etf"), "no simplex ETF of 3 classes exists in 1 dimensions"),
        (dict(targets=[[0], [1]], loss="zlpr"), "the loss of an unconstrained feature model, found zlpr"),
        (dict(targets=[[0], [1]], loss="set-likelihood", weighting="mean"), 'expected `weighting` with loss="pick-all-labels"'),
        (dict(targets=[[0], [1]], max_multiplicity=1), 'with loss="set-likelihood", found "pick-all-labels"'),
        (dict(targets=[[0], [1]], loss="set-likelihood", max_multiplicity=3), "to the number of classes, found 3"),
        (dict(targets=[[0], [1]], loss="set-likelihood", multiplicities="linear"), "found linear ones"),
        (dict(targets=[[0], [1]], loss="set-likelihood", bias="free"), "expected a bias with decay or none"),
        (dict(targets=[[0], [1]], loss="set-likelihood", lambda_c=0), "expected lambda_c to be greater than 0"),
        (dict(targets=[[0], [1]], class_names=["a"]), "expected labels 0 to 0, found 1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence):
        tagwise.ufm(**arguments)
