"""Decoders against a search through every label set and every threshold."""

from itertools import combinations

import numpy as np
import pytest

import tagwise
from conftest import multi_label


def class_means(features, targets):
    single = targets.sum(axis=1) == 1
    return np.array([features[single & (targets[:, k] == 1)].mean(axis=0) for k in range(targets.shape[1])])


def nearest_by_cosine(features, means, most):
    sets = [s for m in range(1, most + 1) for s in combinations(range(len(means)), m)]
    sums = np.array([means[list(s)].sum(axis=0) for s in sets])
    cosines = (features @ sums.T) / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(sums, axis=1)
    order = np.argsort(-cosines, axis=1)
    best = np.take_along_axis(cosines, order, axis=1)
    return [sets[i] for i in order[:, 0]], best[:, 0], best[:, 0] - best[:, 1]


def test_the_nearest_of_all_label_sets_is_found(samples):
    features, targets = samples
    new, _ = multi_label(seed=7, num_samples=150)
    decoder = tagwise.OneNearestNeighbour.fit(features, targets)
    decoded = decoder.decode(new)
    sets, margins = decoded
    expected, scores, gaps = nearest_by_cosine(new, class_means(features, targets), 3)
    assert list(sets) == expected
    np.testing.assert_allclose(decoded.scores, scores, rtol=1e-10)
    np.testing.assert_allclose(margins, gaps, rtol=1e-6, atol=1e-12)
    assert decoded.unproven.size == 0 and decoded.sets is sets and decoded.margins is margins
    assert decoder.name == "ONN, cosine, tag averages" and decoder.tuning is None


def test_mahalanobis_is_linear_discriminant_analysis_without_shrinkage(samples):
    """With many samples the shrinkage is small: answers agree with plain inverse covariance nearly always."""
    features, targets = multi_label(seed=1, num_samples=5000)
    decoder = tagwise.OneNearestNeighbour.fit(features, targets, distance="mahalanobis", max_multiplicity=1)
    means = class_means(features, targets)
    sets = tagwise.LabelSets(targets)
    numbers = {labels: number for number, labels in enumerate(sets.distinct())}
    ids = np.array([numbers[labels] for labels in sets])
    residuals = np.concatenate([features[ids == i] - features[ids == i].mean(axis=0) for i in range(len(numbers))])
    inverse = np.linalg.inv(residuals.T @ residuals / len(residuals))
    new, _ = multi_label(seed=2, num_samples=300)
    distances = np.einsum("nkd,de,nke->nk", new[:, None] - means, inverse, new[:, None] - means)
    agreement = np.mean([s == (k,) for s, k in zip(decoder.decode(new).sets, distances.argmin(axis=1), strict=True)])
    assert agreement > 0.97


def test_every_decoder_can_be_made_and_decodes(samples):
    features, targets = samples
    new, truth = multi_label(seed=9)
    head = tagwise.fit(features, targets, loss="bce")
    for name in ("auto", "onn", "threshold", "label-thresholds", "top-k", "proportional", "largest-gap", "predicted-multiplicity", "expected-f1"):
        decoder = tagwise.Decoder.fit(features, targets, decoder=name, head=head)
        sets, margins = decoder.decode(new)
        assert len(sets) == len(new) and (margins is not None) == decoder.name.startswith("ONN"), name
        assert tagwise.evaluate(sets, truth).f1_micro > 0.6, name
    auto = tagwise.Decoder.fit(features, targets, head=head, criterion="f1-macro")
    assert auto.tuning["criterion"] == "f1-macro" and len(auto.tuning["candidates"]) > 5
    assert "macro F1" in auto.reason and auto.settings["name"] in ("one-nearest-neighbour", "rule")


def test_a_distribution_over_label_sets_is_decoded_exactly(samples):
    features, targets = samples
    head = tagwise.fit(features, targets, loss="set-likelihood", weight_decay=0.001)
    decoder = tagwise.Decoder.fit(head=head, decoder="most-probable", list_sets=26, abstain_below=0.5)
    assert decoder.tuning is None
    decoded = decoder.decode(features)
    for labels, share, listed in zip(decoded.sets, decoded.probabilities, decoded.listed, strict=True):
        assert listed[0] == (labels, pytest.approx(share, abs=1e-12))
        assert [p for _, p in listed] == sorted((p for _, p in listed), reverse=True)
    assert list(decoded.abstained) == np.flatnonzero(decoded.probabilities < 0.5).tolist()

    def expected_f1(answer, listed, empty_match):
        value = 0.0
        for labels, share in listed:
            total = len(answer) + len(labels)
            value += share * (2 * len(set(answer) & set(labels)) / total if total else empty_match)
        return value

    sets = [labels for labels, _ in decoded.listed[0]] + [s for m in (4, 5) for s in combinations(range(5), m)]
    for empty_match in (0, 1):
        by_f1 = tagwise.Decoder.fit(head=head, decoder="expected-f1", empty_match=empty_match).decode(features)
        for answer, listed in zip(by_f1.sets[:50], decoded.listed[:50], strict=True):
            best = max(expected_f1(s, listed, empty_match) for s in sets)
            assert expected_f1(answer, listed, empty_match) == pytest.approx(best, abs=1e-9)


def test_the_empty_set_is_an_answer_where_it_is_common(samples):
    features, targets = samples
    for share, is_common in ((0.02, False), (0.2, True)):
        is_empty = np.arange(len(targets))[:, None] < share * len(targets)
        samples = np.where(is_empty, -20.0, features), np.where(is_empty, 0, targets)
        of_itself, never, measured = (
            tagwise.OneNearestNeighbour.fit(*samples, distance="euclidean", empty_set=when).decode(np.full((1, 7), -20.0)).sets[0]
            for when in (None, "never", "measured")
        )
        assert measured == () and len(never) > 0
        assert of_itself == (measured if is_common else never)


def test_validation_samples_are_what_rules_are_tuned_on(samples):
    features, targets = samples
    validation = multi_label(seed=5)
    head = tagwise.fit(features, targets, loss="bce")
    decoder = tagwise.Decoder.fit(decoder="threshold", head=head, validation=validation)
    assert decoder.tuning["samples"] == "validation"
    assert decoder.tuning["num_samples"] == 400
    rule = tagwise.LogitRule.fit(head.decision_function(validation[0]), validation[1], link="sigmoid")
    new, _ = multi_label(seed=6)
    assert list(decoder.decode(new).sets) == list(rule.decode(head.decision_function(new)))


def test_the_best_threshold_is_found(samples):
    _, targets = samples
    rng = np.random.default_rng(0)
    logits = 2.0 * targets - 1 + rng.standard_normal(targets.shape)
    rule = tagwise.LogitRule.fit(logits, targets, rule="threshold", link="sigmoid", criterion="f1-micro")

    def f1(threshold, fallback):
        predicted = (logits >= threshold).astype(int)
        if fallback:
            empty = predicted.sum(axis=1) == 0
            predicted[empty, logits[empty].argmax(axis=1)] = 1
        return 2 * (predicted & targets).sum() / (predicted.sum() + targets.sum())

    best = max(f1(t, fallback) for t in np.sort(logits.ravel()) for fallback in (False, True))
    assert tagwise.evaluate(rule.decode(logits), targets).f1_micro == pytest.approx(best, abs=1e-12)
    assert rule.rule["name"] == "threshold" and repr(rule) == "LogitRule(5 classes, threshold)"


def test_options_of_the_nearest_neighbour_reach_the_library(samples):
    features, targets = samples
    new, _ = multi_label(seed=3)
    head = tagwise.fit(features, targets, loss="bce", weight_decay=0.01)
    plain = tagwise.OneNearestNeighbour.fit(features, targets, distance="euclidean").decode(new)
    for options in (
        dict(distance="cosine"),
        dict(distance="mahalanobis", prototypes="label-sets"),
        dict(prior="label-set"),
        dict(prior="multiplicity"),
        dict(scales="ufm"),
        dict(scales=[1.0, 0.5, 0.4]),
        dict(space="logits", head=head),
        dict(max_multiplicity=1),
    ):
        decoder = tagwise.OneNearestNeighbour.fit(features, targets, **{"distance": "euclidean", **options})
        assert (decoder.decode(new).scores != plain.scores).any(), options
    none = tagwise.OneNearestNeighbour.fit(features, targets, distance="euclidean", empty_set=0.0)
    assert set(none.decode(new).sets) == {()}  # minus a squared distance is below 0
    cut = tagwise.OneNearestNeighbour.fit(features, targets, max_nodes=0)
    assert len(cut.decode(new).unproven) > 0


def test_sparse_features_decode_alike(samples):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    features, targets = samples
    decoder = tagwise.OneNearestNeighbour.fit(scipy_sparse.csr_array(features), targets)
    assert list(decoder.decode(scipy_sparse.csr_array(features)).sets) == list(decoder.decode(features).sets)


def test_names_go_from_targets_to_answers():
    names = [["sea"], ["sky"], ["sea", "sky"]]
    decoder = tagwise.OneNearestNeighbour.fit([[1.0, 0.1], [0.0, 1.0], [0.8, 0.9]], names)
    decoder = tagwise.Decoder.from_bytes(decoder.to_bytes())
    assert decoder.class_names == ("sea", "sky")
    assert decoder.decode([[0.5, 0.5]]).sets.to_names() == [("sea", "sky")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(decoder="nearest"), "expected `decoder` to be auto, onn, threshold, .* or most-probable, found \"nearest\""),
        (dict(decoder="threshold"), "decoding logits needs a classifier, found none"),
        (dict(features=None), "expected `features` beside `targets`, found none"),
        (dict(targets=None), "expected `targets` beside `features`, found none"),
        (dict(features=None, targets=None), "needs training samples, found none"),
        (dict(features=[[np.nan, 1], [1, 1]]), "expected finite numbers, found NaN"),
        (dict(targets=[[0]]), "expected 1 rows of features, one for each row of targets, found 2"),
        (dict(targets=[[], []], num_classes=2), "label"),
        (dict(distance="manhattan"), 'expected `distance` to be .*, found "manhattan"'),
        (dict(prototypes="medians"), 'expected `prototypes` to be .*, found "medians"'),
        (dict(prior="flat"), 'expected `prior` to be .*, found "flat"'),
        (dict(space="pixels"), 'expected `space` to be .*, found "pixels"'),
        (dict(space="logits"), "needs a classifier"),
        (dict(link="probit"), 'expected `link` to be .*, found "probit"'),
        (dict(criterion="accuracy"), 'expected `criterion` to be .*, found "accuracy"'),
        (dict(scales="equal"), "expected `scales` 'measured', 'ufm' or numbers"),
        (dict(scales=[-1.0, 1.0], distance="euclidean"), "positive|greater than 0"),
        (dict(empty_set="always"), 'expected `empty_set` to be .*, found "always"'),
        (dict(empty_set=np.nan), "expected `empty_set` as a finite number"),
        (dict(max_multiplicity=0), "expected `max_multiplicity` of at least 1"),
        (dict(max_nodes=-1), "expected `max_nodes` of at least 0"),
        (dict(head=3), "expected `head` as a tagwise.Head, found int"),
        (dict(head=tagwise.Head(np.ones((2, 5)))), "expected the head to have 2 classes and 2 features like the training samples"),
        (dict(validation=[[1.0, 2.0]]), "expected `validation` as a pair"),
        (dict(validation=(np.ones((1, 3)), [[0]])), "expected the validation samples to have 2 classes and 2 features"),
        (dict(class_names=["a"]), "expected labels 0 to 0, found 1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    given = {"features": [[1.0, 0.1], [0.0, 1.0]], "targets": [[0], [1]], "decoder": "onn", **arguments}
    with pytest.raises(tagwise.TagwiseError, match=sentence):
        tagwise.Decoder.fit(**given)


def test_decoders_and_rules_refuse_what_does_not_fit(samples):
    decoder = tagwise.OneNearestNeighbour.fit(*samples)
    with pytest.raises(tagwise.TagwiseValueError, match="expected 7 features, found 2"):
        decoder.decode(np.ones((3, 2)))
    with pytest.raises(tagwise.TagwiseValueError, match="found NaN in features at row 1500, column 2"):
        features = np.ones((2000, 7))
        features[1500, 2] = np.nan
        decoder.decode(features)
    assert len(decoder.decode(np.ones((0, 7))).sets) == 0
    rule = tagwise.LogitRule.fit([[1.0, -1.0]], [[0]])
    for logits, sentence in (([[1.0]], "expected 2 columns of logits, one for each class, found 1"), ([[np.nan, 0]], "NaN")):
        with pytest.raises(tagwise.TagwiseValueError, match=sentence):
            rule.decode(logits)
    for arguments, sentence in (
        (dict(logits=np.ones((0, 2)), targets=np.ones((0, 2))), "at least one sample"),
        (dict(logits=[[1.0, 2.0]], targets=[[0], [1]]), "expected 2 rows of logits, found 1"),
        (dict(logits=[[1.0]], targets=[[0]], rule="best"), 'expected `rule` to be .*, found "best"'),
        (dict(logits=[[1.0]], targets=[[0]], link="probit"), 'expected `link` to be softmax or sigmoid, found "probit"'),
        (dict(logits=[[1.0]], targets=[[0]], criterion="loss"), 'expected `criterion` to be .*, found "loss"'),
    ):
        with pytest.raises(tagwise.TagwiseValueError, match=sentence):
            tagwise.LogitRule.fit(**arguments)
    for kind in (tagwise.Decoder, tagwise.OneNearestNeighbour, tagwise.LogitRule):
        with pytest.raises(tagwise.TagwiseTypeError, match="come from"):
            kind()


def test_a_rule_is_no_nearest_neighbour(samples):
    head = tagwise.fit(*samples, weight_decay=0.1)
    data = tagwise.Decoder.fit(*samples, decoder="top-k", head=head).to_bytes()
    with pytest.raises(tagwise.TagwiseValueError, match="expected a one-nearest-neighbour decoder, found top-k"):
        tagwise.OneNearestNeighbour.from_bytes(data)
