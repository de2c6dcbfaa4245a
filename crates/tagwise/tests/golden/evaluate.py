"""Multi-label measures from scikit-learn (and NumPy where it has none), for random and odd cases.

Needs: pip install numpy scipy scikit-learn
Run:   in the folder of the crate, python tests/golden/evaluate.py > tests/golden/evaluate.json
"""

import json
import warnings

import numpy as np
from scipy.special import softmax
from sklearn import metrics

warnings.filterwarnings("ignore")  # undefined values follow scikit-learn's defaults


def top(scores, k):
    """Labels of the k largest scores, ties to the smaller label."""
    return np.argsort(-scores, kind="stable")[:k]


def precision_at(truth, scores, k):
    return np.mean([row[top(s, k)].sum() / k for row, s in zip(truth, scores)])


def measures(truth, predicted, scores):
    found = {
        "subset_accuracy": metrics.accuracy_score(truth, predicted),
        "hamming_loss": metrics.hamming_loss(truth, predicted),
        "label_ranking_average_precision": metrics.label_ranking_average_precision_score(truth, scores),
        "coverage_error": metrics.coverage_error(truth, scores),
        "ranking_loss": metrics.label_ranking_loss(truth, scores),
        "one_error": 1 - precision_at(truth, scores, 1),
    }
    for average in ["samples", "micro", "macro", "weighted"]:
        for name, function in [
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
            ("f1", metrics.f1_score),
            ("jaccard", metrics.jaccard_score),
        ]:
            found[f"{name}_{average}"] = function(truth, predicted, average=average, zero_division=0)
    for average in ["samples", "micro", "macro"]:
        found[f"average_precision_{average}"] = metrics.average_precision_score(truth, scores, average=average)
    for k in [1, 3, 5]:
        found[f"precision_at_{k}"] = precision_at(truth, scores, k)
        found[f"ndcg_at_{k}"] = metrics.ndcg_score(truth, scores, k=k)
    labelled = truth.sum(axis=1) > 0
    mass = (softmax(scores, axis=1) * truth).sum(axis=1)
    found["label_mass"] = mass[labelled].mean() if labelled.any() else None
    return {name: None if value is None else float(value) for name, value in found.items()}


def case(name, truth, predicted, scores):
    truth, predicted = np.asarray(truth, dtype=int), np.asarray(predicted, dtype=int)
    scores = np.round(scores, 4)
    return {
        "name": name,
        "num_classes": truth.shape[1],
        "truth": [np.flatnonzero(row).tolist() for row in truth],
        "predicted": [np.flatnonzero(row).tolist() for row in predicted],
        "scores": scores.tolist(),
        "measures": measures(truth, predicted, scores),
        "average_precision": [
            float(metrics.average_precision_score(truth[:, k], scores[:, k])) for k in range(truth.shape[1])
        ],
    }


def main():
    rng = np.random.default_rng(9)

    def random(n, k, rate, digits=4):
        truth = rng.random((n, k)) < rate
        scores = np.round(rng.normal(size=(n, k)) + 1.5 * truth, digits)
        return truth, scores > 0.7, scores

    cases = []
    for n, k, rate in [(40, 7, 0.3), (15, 12, 0.1), (1, 5, 0.5), (60, 6, 0.6)]:
        cases.append(case(f"random {n}x{k} at {rate}", *random(n, k, rate)))
    cases.append(case("many ties", *random(30, 8, 0.3, digits=0)))
    truth, predicted, scores = random(20, 6, 0.3)
    truth[:, [1, 4]] = False
    cases.append(case("labels without positives", truth, predicted, scores))
    predicted[:, 1] = False
    cases.append(case("a label neither true nor predicted", truth, predicted, scores))
    truth, predicted, scores = random(20, 6, 0.4)
    truth[[0, 5, 6]] = False
    predicted[[0, 5, 9]] = False
    cases.append(case("samples without labels", truth, predicted, scores))
    truth[[3, 4]] = True
    cases.append(case("samples with all labels", truth, predicted, scores))
    truth[:] = False
    cases.append(case("no label at all", truth, predicted, scores))
    truth, _, _ = random(20, 6, 0.4)
    cases.append(case("perfect", truth, truth, 3.0 * truth - 1.0))
    cases.append(case("all wrong", truth, ~truth, 1.0 - 3.0 * truth))
    truth, predicted, _ = random(10, 6, 0.4)
    cases.append(case("constant scores", truth, predicted, np.zeros((10, 6))))
    print("[")
    print(",\n".join(json.dumps(case) for case in cases))
    print("]")


main()
