"""Measures against scikit-learn."""

import numpy as np
import pytest

import tagwise

CLOSE = 1e-12


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    truth = (rng.random((200, 6)) < 0.3).astype(int)
    logits = truth + rng.standard_normal(truth.shape)
    return (logits > 0.6).astype(int), truth, logits


def test_measures_are_those_of_scikit_learn(predictions):
    metrics = pytest.importorskip("sklearn.metrics")
    predicted, truth, logits = predictions
    measures = tagwise.evaluate(predicted, truth, logits)
    assert measures.num_samples == 200
    assert measures.subset_accuracy == pytest.approx(metrics.accuracy_score(truth, predicted), rel=CLOSE)
    assert measures.hamming_loss == pytest.approx(metrics.hamming_loss(truth, predicted), rel=CLOSE)
    scorers = {"f1": metrics.f1_score, "precision": metrics.precision_score, "recall": metrics.recall_score, "jaccard": metrics.jaccard_score}
    for name, scorer in scorers.items():
        for average in ("samples", "micro", "macro", "weighted"):
            expected = scorer(truth, predicted, average=average, zero_division=0)
            assert measures[f"{name}_{average}"] == pytest.approx(expected, rel=CLOSE), (name, average)
    assert measures.coverage_error == pytest.approx(metrics.coverage_error(truth, logits), rel=CLOSE)
    assert measures.ranking_loss == pytest.approx(metrics.label_ranking_loss(truth, logits), rel=CLOSE)
    expected = metrics.label_ranking_average_precision_score(truth, logits)
    assert measures.label_ranking_average_precision == pytest.approx(expected, rel=CLOSE)
    for average in ("macro", "micro"):
        expected = metrics.average_precision_score(truth, logits, average=average)
        assert measures[f"average_precision_{average}"] == pytest.approx(expected, rel=CLOSE)
    for k in (1, 3, 5):
        assert measures[f"ndcg_at_{k}"] == pytest.approx(metrics.ndcg_score(truth, logits, k=k), rel=1e-9)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labelled = truth.sum(axis=1) > 0
    assert measures.label_mass == pytest.approx((softmax * truth).sum(axis=1)[labelled].mean(), rel=CLOSE)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for k, line in enumerate(measures.per_label):
        assert line["label"] == str(k) and line["positives"] == support[k]
        assert (line["precision"], line["recall"], line["f1"]) == pytest.approx((precision[k], recall[k], f1[k]), rel=CLOSE)


def test_label_sets_go_into_scikit_learn(predictions):
    metrics = pytest.importorskip("sklearn.metrics")
    predicted, truth, _ = predictions
    sets = tagwise.LabelSets(predicted)
    assert metrics.f1_score(truth, np.asarray(sets), average="micro") == tagwise.evaluate(sets, truth).f1_micro


def test_an_evaluation_is_a_mapping(predictions):
    measures = tagwise.evaluate(*predictions[:2], class_names=list("abcdef"))
    assert dict(measures)["f1_micro"] == measures["f1_micro"] == measures.f1_micro
    assert "ranking_loss" not in measures and len(measures) == len(list(measures)) == 19
    assert measures.to_dict()["labels"][0]["label"] == "a" and measures.to_dict()["num_samples"] == 200
    assert "subset_accuracy" in str(measures) and "200 samples" in repr(measures) and "f1_micro" in dir(measures)
    assert measures._repr_html_().startswith("<table>")
    pandas = pytest.importorskip("pandas")
    assert isinstance(measures.to_pandas(), pandas.DataFrame)
    with pytest.raises(AttributeError, match="expected one of the measures .*, found 'accuracy'"):
        measures.accuracy
    with pytest.raises(KeyError):
        measures["accuracy"]


def test_batches_count_to_the_whole(predictions):
    predicted, truth, logits = predictions
    whole = tagwise.evaluate(predicted, truth, logits)
    parts = [tagwise.EvaluationCounts(6).update(predicted[i::3], truth[i::3], logits[i::3]) for i in range(3)]
    total = tagwise.EvaluationCounts(6)
    for part in parts:
        total.merge(tagwise.EvaluationCounts.from_bytes(part.to_bytes()))
    assert total.num_samples == 200 and total.num_classes == 6
    merged = total.finish(class_names=list("abcdef"))
    assert set(whole) - set(merged) == {"average_precision_macro", "average_precision_micro"}
    for name, value in merged.items():
        assert value == pytest.approx(whole[name], rel=CLOSE), name
    assert merged.f1_macro == whole.f1_macro and merged.per_label[1]["label"] == "b"


def test_lists_agree_on_the_number_of_classes():
    assert tagwise.evaluate([[0], [3]], [[0], [1]]).hamming_loss == pytest.approx(2 / 8)
    assert tagwise.evaluate([[0], [3]], [[0], [1]], num_classes=10).hamming_loss == pytest.approx(2 / 20)
    assert tagwise.evaluate([["a"], ["b"]], [["a"], ["c"]]).subset_accuracy == 0.5
    assert tagwise.evaluate(np.array([[1, 0, 0]]), [[0]]).subset_accuracy == 1.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([[0]], [[0], [1]]), "expected 2 predicted label sets, found 1"),
        ((np.ones((1, 2)), np.ones((1, 3))), "expected 3 classes in `sets`, found 2"),
        ((np.ones((0, 2)), np.ones((0, 2))), "at least one sample"),
        ((np.eye(2), np.eye(2), np.ones((2, 3))), "expected 2 columns of logits, one for each class, found 3"),
        ((np.eye(2), np.eye(2), np.ones((1, 2))), "expected 4 scores, one for each sample and label, found 2"),
        ((np.eye(2), np.eye(2), [[np.nan, 0], [0, 0]]), "found NaN in scores at row 0, column 0"),
        ((np.eye(2), np.eye(2), [0.0]), r"expected `logits` of shape \[N, K\]"),
        ((2 * np.eye(2), np.eye(2)), "`sets`: expected targets of 0 and 1, found 2"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(tagwise.TagwiseError, match=sentence):
        tagwise.evaluate(*arguments)


def test_counts_refuse_what_does_not_fit():
    counts = tagwise.EvaluationCounts(2).update(np.eye(2), np.eye(2))
    with pytest.raises(tagwise.TagwiseValueError, match="logits"):
        counts.update(np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(tagwise.TagwiseValueError, match="expected 2 classes, found 3"):
        counts.merge(tagwise.EvaluationCounts(3))
    with pytest.raises(tagwise.TagwiseTypeError, match="expected `other` as EvaluationCounts"):
        counts.merge(counts.finish())
    with pytest.raises(tagwise.TagwiseValueError, match="at least one sample"):
        tagwise.EvaluationCounts(2).finish()
    with pytest.raises(tagwise.TagwiseValueError, match="expected `num_classes` of at least 1"):
        tagwise.EvaluationCounts(0)
    with pytest.raises(tagwise.TagwiseTypeError, match="come from"):
        tagwise.Evaluation()
    assert counts.num_samples == 2
