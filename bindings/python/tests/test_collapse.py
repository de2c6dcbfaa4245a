"""Collapse against NumPy code that follows the definitions line by line."""

import json

import numpy as np
import pytest

import tagwise

#: Rounding of sums of a few hundred products of numbers of size one, and a pseudo-inverse.
CLOSE = 1e-9


def set_means(features, targets):
    """Distinct label sets by multiplicity and then in order, with the rows of each."""
    sets = sorted({tuple(np.flatnonzero(row)) for row in targets}, key=lambda s: (len(s), s))
    rows = {s: np.array([tuple(np.flatnonzero(row)) == s for row in targets]) for s in sets}
    return {s: (features[r].mean(axis=0), features[r]) for s, r in rows.items()}


def nc1(table, basis):
    """tr(Σ_W U(UᵀΣ_B U)†Uᵀ)/min(L, K) within the span of the class means."""
    within = sum((h - mean).T @ (h - mean) for mean, h in table.values())
    count = sum(len(h) for _, h in table.values())
    centre = np.concatenate([h for _, h in table.values()]).mean(axis=0)
    between = sum(np.outer(mean - centre, mean - centre) for mean, _ in table.values()) / len(table)
    inside = np.linalg.pinv(basis.T @ between @ basis, rcond=1e-10)
    return np.trace(within / count @ basis @ inside @ basis.T) / min(len(table), basis.shape[1] + 1)


def simplex_distance(gram):
    k = len(gram)
    ideal = (np.eye(k) - 1 / k) / np.sqrt(k - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - ideal)


def published(report):
    """The values by the formulas of the papers, which the headline values may refine."""
    return {line.key: line.value if line.published is None else line.published for line in report.headlines}


def angle(a, b):
    return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))


def test_metrics_follow_their_definitions(samples, classifier):
    features, targets = samples
    weight, bias = classifier
    table = set_means(features, targets)
    by_size = {m: {s: v for s, v in table.items() if len(s) == m} for m in (1, 2, 3)}
    means = np.array([mean for mean, _ in by_size[1].values()])
    global_mean = np.concatenate([h for _, h in by_size[1].values()]).mean(axis=0)
    _, _, directions = np.linalg.svd(means - means.mean(axis=0))
    basis = directions[: len(means) - 1].T

    report = tagwise.analyze(features, targets, weight=weight, bias=bias)
    for m, group in by_size.items():
        assert published(report)[f"nc1_m{m}"] == pytest.approx(nc1(group, basis), rel=CLOSE)
    assert published(report)["nc1_pooled"] == pytest.approx(nc1(table, basis), rel=CLOSE)
    assert report.nc2.classifier == pytest.approx(simplex_distance(weight @ weight.T), rel=CLOSE)
    centred = means - means.mean(axis=0)
    assert report.nc2.class_means == pytest.approx(simplex_distance(centred @ centred.T), rel=CLOSE)
    assert report.nc3 == pytest.approx(simplex_distance(weight @ centred.T), rel=CLOSE)
    centred = means - global_mean
    assert published(report)["nc2_class_means"] == pytest.approx(simplex_distance(centred @ centred.T), rel=CLOSE)
    assert published(report)["nc3"] == pytest.approx(simplex_distance(weight @ centred.T), rel=CLOSE)
    for m in (2, 3):
        sums = [means[list(s)].sum(axis=0) for s in by_size[m]]
        measured = [mean for mean, _ in by_size[m].values()]
        own = np.mean([angle(a, b) for a, b in zip(sums, measured, strict=True)])
        every = np.mean([angle(a, b) for a in sums for b in measured])
        assert report.nc_m[m] == pytest.approx(own / every, rel=1e-7)  # arccos
    single = targets.sum(axis=1) == 1
    nearest = ((features[single, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    chosen = (features[single] @ weight.T + bias).argmax(axis=1)
    assert report.nc4 == pytest.approx(np.mean(nearest == chosen))


def test_a_simplex_etf_is_collapsed():
    etf = tagwise.simplex_etf(4, 6)
    labels = [[k] for k in range(4)] * 3 + [[0, 1], [2, 3], [1, 2]] * 2
    features = np.array([0.9 * etf[s].sum(axis=0) if len(s) > 1 else etf[s[0]] for s in labels])
    report = tagwise.analyze(features, labels, weight=2 * etf)
    assert report.scalars()["nc1_m1"] < 1e-12
    assert max(report.nc2.classifier, report.nc2.class_means, report.nc3, report.nc_m[2]) < 1e-6
    assert report.nc4 == 1.0
    assert report.verdicts["nc2_classifier"] == "collapsed"


def test_rotated_relabelled_and_permuted_features_measure_the_same(samples, classifier):
    features, targets = samples
    weight, _ = classifier
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.standard_normal((features.shape[1],) * 2))[0]
    order, labels = rng.permutation(len(features)), rng.permutation(targets.shape[1])
    one = tagwise.analyze(features, targets, weight=weight).scalars()
    other = tagwise.analyze(features[order] @ rotation, targets[order][:, labels], weight=weight[labels] @ rotation)
    assert other.scalars() == pytest.approx(one, rel=1e-7)


def test_parts_merge_to_the_whole(samples, classifier):
    features, targets = samples
    weight, _ = classifier
    whole = tagwise.Statistics(5, 7).update(features, targets)
    parts = [tagwise.Statistics(5, 7).update(features[i::4], targets[i::4]) for i in range(4)]
    for part in parts[1:]:
        parts[0].merge(tagwise.Statistics.from_bytes(part.to_bytes()))
    assert parts[0].num_samples == whole.num_samples == len(features)
    assert list(parts[0].label_sets) == list(whole.label_sets)
    np.testing.assert_array_equal(parts[0].counts, whole.counts)
    np.testing.assert_allclose(parts[0].means, whole.means, rtol=1e-12)
    merged = parts[0].collapse(weight=weight).scalars()
    assert merged == pytest.approx(whole.collapse(weight=weight).scalars(), rel=1e-10)
    assert merged == pytest.approx(tagwise.analyze(features, targets, weight=weight).scalars(), rel=1e-9)


def test_statistics_are_those_of_numpy(samples):
    features, targets = samples
    statistics = tagwise.Statistics(5, 7).update(features[:100], targets[:100]).update(features[100:], targets[100:])
    table = set_means(features, targets)
    assert list(statistics.label_sets) == list(table)
    np.testing.assert_allclose(statistics.means, [mean for mean, _ in table.values()], rtol=1e-12)
    for m in (1, 2):
        expected = sum((h - mean).T @ (h - mean) for s, (mean, h) in table.items() if len(s) == m)
        np.testing.assert_allclose(statistics.within_scatter(m), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(statistics.class_means(), [table[(k,)][0] for k in range(5)], rtol=1e-12)
    assert statistics.within_scatter(9) is None
    trace = tagwise.Statistics(5, 7, scatter="trace").update(features, targets)
    assert trace.within_scatter(1) is None and trace.scatter == "trace"
    assert trace.collapse().nc1[1] is None


def test_features_of_tiny_spread_keep_their_digits():
    """Sums of squares in f32 would lose all of them."""
    rng = np.random.default_rng(0)
    noise = 1e-4 * rng.standard_normal((1000, 3))
    labels = np.arange(1000) % 2
    features = (np.array([[100.0, 0, 0], [0, 100.0, 0]])[labels] + noise).astype(np.float32)
    report = tagwise.analyze(features, labels)
    exact = features.astype(np.float64)
    table = {(k,): (exact[labels == k].mean(axis=0), exact[labels == k]) for k in range(2)}
    basis = (table[(0,)][0] - table[(1,)][0])[:, None]
    assert published(report)["nc1_m1"] == pytest.approx(nc1(table, basis / np.linalg.norm(basis)), rel=1e-8)


def test_a_report_speaks_every_language(samples, classifier, tmp_path):
    pandas = pytest.importorskip("pandas")
    features, targets = samples
    names = ["a", "b", "c", "d", "e"]
    report = tagwise.analyze(features, targets, classifier[0], class_names=names, name="layer 4")
    figures = report.to_dict()
    assert figures["file"] == "layer 4" and figures["num_samples"] == len(features)
    assert {"headlines", "nc1", "nc1_pooled", "nc2", "nc3", "nc_m", "label_sets", "classes"} <= set(figures)
    assert json.loads(report.to_json()) == figures
    assert isinstance(report.to_pandas(), pandas.DataFrame)
    assert report.to_pandas()["key"].tolist() == [line.key for line in report.headlines]
    assert "layer 4: 400 samples" in str(report) and "nc1_m1" in repr(report)
    assert report._repr_html_().startswith("<iframe srcdoc=")
    for ending, start in ((".html", "<!doctype html>"), (".json", "{"), (".svg", "<svg"), (".csv", "figure,series,x,value")):
        report.report(tmp_path / f"page{ending}")
        assert (tmp_path / f"page{ending}").read_text().startswith(start)
    with pytest.raises(tagwise.TagwiseValueError, match=r"ends in \.html, \.svg, \.csv or \.json"):
        report.report(tmp_path / "page.pdf")
    with pytest.raises(tagwise.TagwiseFileNotFoundError, match="page.html"):
        report.report(tmp_path / "nowhere" / "page.html")


def test_names_for_trackers_are_plain(samples, classifier):
    report = tagwise.analyze(*samples, classifier[0])
    keys = list(report.scalars())
    assert keys[:3] == ["nc1_m1", "nc1_m2", "nc1_m3"] and "nc_m2" in keys and "nc3" in keys
    assert all(key.replace("_", "").isalnum() for key in keys)
    assert list(report.scalars("val/"))[0] == "val/nc1_m1"


def test_options_reach_the_library(samples, classifier):
    features, targets = samples
    report = tagwise.analyze(features, targets, classifier[0], worst=3, directions="tag-span", compat="nc-mlab")
    figures = report.to_dict()
    assert len(figures["worst_samples"]) == 3
    assert figures["nc1_path"] == "tag_span" and figures["nc_mlab"] is not None
    assert report.nc1[1] == pytest.approx(tagwise.analyze(features, targets).nc1[1], rel=1e-9)


def test_samples_that_are_not_finite_may_be_left_out(samples, classifier):
    features, targets = samples
    holed = features.copy()
    rows = [0, 7, 8, 399]
    holed[rows, [0, 1, 2, 3]] = [np.nan, np.inf, -np.inf, np.nan]
    with pytest.raises(tagwise.TagwiseValueError, match="in 4 of 400 rows, first in row 0; .*; skip_non_finite=True does that"):
        tagwise.analyze(holed, targets, *classifier)
    found = tagwise.analyze(holed, targets, *classifier, skip_non_finite=True)
    kept = np.delete(np.arange(400), rows)
    expected = tagwise.analyze(features[kept], targets[kept], *classifier)
    assert found.skipped == rows and expected.skipped == []
    assert found.scalars() == expected.scalars()
    worst, numbers = ([line["sample"] for line in report.to_dict()["worst_samples"]] for report in (found, expected))
    assert worst == kept[numbers].tolist()
    assert tagwise.CollapseReport.from_bytes(found.to_bytes()).skipped == rows


def test_label_errors_are_counted_with_the_rows_left_out():
    rng = np.random.default_rng(0)
    means = 5 * np.eye(4, 6)
    labels = np.repeat(np.arange(4), 50)
    features = means[labels] + 0.5 * rng.normal(size=(200, 6))
    labels[[20, 120]] = [3, 0]
    features[[0, 30]] = np.nan
    report = tagwise.analyze(features, [[label] for label in labels], weight=means, skip_non_finite=True)
    assert sorted(line["sample"] for line in report.to_dict()["label_errors"]["samples"]) == [20, 120]


def test_the_optimum_is_compared_with_where_that_is_cheap_or_asked_for(samples, classifier):
    features, targets = samples
    statistics = tagwise.Statistics(5, 7).update(features, targets)
    for measure in (lambda **o: tagwise.analyze(features, targets, *classifier, **o), lambda **o: statistics.collapse(*classifier, **o)):
        assert measure().optimum["is_certified"] and measure().optimum == measure(against_ufm=True).optimum
        assert measure(against_ufm=False).optimum is None
    one_class = tagwise.analyze(np.ones((4, 2)), [[0]] * 4)
    assert one_class.optimum is None


def test_intervals_may_be_left_out(samples):
    with_intervals, without = (tagwise.analyze(*samples, intervals=when) for when in ("always", "never"))
    assert any(line.interval is not None for line in with_intervals.headlines)
    assert all(line.interval is None for line in without.headlines)
    assert with_intervals.scalars() == without.scalars()


def test_degenerate_samples_have_a_value_or_one_sentence():
    one = tagwise.analyze([[1.0, 2.0]], [[0]], num_classes=2)
    assert one.verdicts["nc1_m1"] == "cannot_be_told"
    assert tagwise.analyze(np.ones((3, 1)), [[0], [0], [0]]).num_classes == 1
    with pytest.raises(tagwise.TagwiseValueError, match="labelled samples, and there is none"):
        tagwise.analyze([[1.0], [2.0]], [[], []], num_classes=2)
    with pytest.raises(tagwise.TagwiseValueError, match="labelled samples, and there is none"):
        tagwise.Statistics(2, 2).collapse()
    with pytest.raises(tagwise.TagwiseValueError, match="class 1 has no sample with that label alone"):
        tagwise.Statistics(2, 1).update([[1.0]], [[0]]).class_means()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(features=np.ones((3, 2)), targets=[[0], [1]]), "expected 2 rows of features, one for each row of targets, found 3"),
        (dict(features=np.ones(3), targets=[[0]]), r"expected `features` of shape \[N, d\], found 1 dimensions, \[3\]"),
        (dict(features=[[1.0], [np.nan]], targets=[[0], [1]]), "expected finite features, found NaN or infinity in 1 of 2 rows, first in row 1; mend them or leave them out; skip_non_finite=True does that"),
        (dict(features=[["a"]], targets=[[0]]), "expected `features` of numbers, found an array of <U1"),
        (dict(features=[[1.0], [1.0, 2.0]], targets=[[0], [1]]), "expected `features` as rows of equal length"),
        (dict(features=None, targets=[[0]]), "expected `features` as an array, found NoneType"),
        (dict(features=[[1j]], targets=[[0]]), "found an array of complex128"),
        (dict(features=[[1.0]], targets=[[0]], weight=np.ones((2, 1))), "expected 1 rows in the weight of the classifier, found 2"),
        (dict(features=[[1.0]], targets=[[0]], weight=np.ones((1, 2))), "expected 1 columns in the weight of the classifier, found 2"),
        (dict(features=[[1.0]], targets=[[0]], weight=[[np.inf]]), "found inf in the weight of the classifier"),
        (dict(features=[[1.0]], targets=[[0]], weight=[1.0]), r"expected `weight` of shape \[K, d\]"),
        (dict(features=[[1.0]], targets=[[0]], bias=[1.0]), r"expected `weight` \[K, d\] beside `bias`, found none"),
        (dict(features=[[1.0]], targets=[[0]], weight=[[1.0]], bias=[1.0, 2.0]), "expected 1 numbers in `bias`"),
        (dict(features=[[1.0]], targets=[[0]], class_names=["a", "b"], num_classes=1), "expected 1 class names"),
        (dict(features=[[1.0]], targets=[[0]], worst=-1), "expected `worst` of at least 0"),
        (dict(features=[[1.0]], targets=[[0]], worst=1.5), "expected `worst` as a whole number, found 1.5"),
        (dict(features=[[1.0]], targets=[[0]], directions="some"), "expected `directions` 'all' or 'tag-span', found \"some\""),
        (dict(features=[[1.0]], targets=[[0]], compat="other"), "expected `compat` None or 'nc-mlab'"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence) as error:
        tagwise.analyze(**arguments)
    assert isinstance(error.value, (ValueError, TypeError)) and "\n" not in str(error.value)


def test_statistics_refuse_what_does_not_fit():
    statistics = tagwise.Statistics(2, 3)
    for features, targets, sentence in [
        (np.ones((1, 2)), [[0]], "expected 3 columns of `features`, found 2"),
        (np.ones((1, 3)), [[2]], "expected labels 0 to 1, found 2 in sample 0"),
        (np.ones((1, 3)), np.ones((1, 3), dtype=int), "expected 2 classes in `targets`, found 3"),
        ([[np.inf, 0, 0], [1, 1, 1]], [[0], [1]], "found inf in the features at row 0"),
    ]:
        with pytest.raises(tagwise.TagwiseValueError, match=sentence):
            statistics.update(features, targets)
    assert statistics.num_samples == 0
    for other, sentence in [
        (tagwise.Statistics(3, 3), "expected 2 classes, found 3"),
        (tagwise.Statistics(2, 2), "expected 3 feature dimensions, found 2"),
        (tagwise.Statistics(2, 3, scatter="trace"), "cannot be merged"),
    ]:
        with pytest.raises(tagwise.TagwiseValueError, match=sentence):
            statistics.merge(other)
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `other` as Statistics, found int"):
        statistics.merge(1)
    for arguments, sentence in [
        ((0, 1), "expected `num_classes` of at least 1"),
        ((1, 0), "expected `dim` of at least 1"),
        ((1 << 40, 1), "expected the number of classes of at most 16777216"),
        ((2, 1 << 20), "expected `dim` from 1 to 65536 for this scatter"),
        (("2", 1), "expected `num_classes` as a whole number"),
    ]:
        with pytest.raises(tagwise.TagwiseError, match=sentence):
            tagwise.Statistics(*arguments)
    with pytest.raises(tagwise.TagwiseValueError, match="expected `scatter` 'full' or 'trace'"):
        tagwise.Statistics(1, 1, scatter="half")


def test_statistics_keep_their_classifier(samples, classifier):
    weight, bias = classifier
    statistics = tagwise.Statistics(5, 7).update(*samples).set_classifier(weight, bias)
    read = tagwise.Statistics.from_bytes(statistics.to_bytes())
    np.testing.assert_array_equal(read.weight, weight)
    np.testing.assert_array_equal(read.bias, bias)
    assert read.collapse().nc3 == statistics.collapse(weight, bias).nc3 is not None
    with pytest.raises(tagwise.TagwiseValueError, match="different classifiers"):
        read.merge(tagwise.Statistics(5, 7).set_classifier(2 * weight))
    assert tagwise.Statistics(5, 7).merge(read).weight is not None
    assert read.set_classifier(None).weight is None
