"""Linear heads fitted by scikit-learn, with the same objectives as ours.

Pick-all-labels is multinomial logistic regression on one row for each (sample, label) pair, with
weight 1 (sum) or 1/m (mean); binary cross-entropy is one logistic regression for each label.
scikit-learn minimises C*sum(loss) + |w|^2/2, so C = 1/(2*N*weight_decay) for a mean over N samples.

Needs: pip install numpy scikit-learn
Run:   in the folder of the crate, python tests/golden/head.py > tests/golden/head.json
"""

import json

import numpy as np
from sklearn.linear_model import LogisticRegression

NUM_SAMPLES, DIM, NUM_CLASSES = 60, 5, 4
OPTIONS = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}


def pick_all_labels(features, labels, weighting, weight_decay):
    rows = [(x, k, 1 / len(s) if weighting == "mean" else 1) for x, s in zip(features, labels) for k in s]
    x, y, weights = (np.array(column) for column in zip(*rows))
    model = LogisticRegression(C=1 / (2 * len(labels) * weight_decay), **OPTIONS)
    model.fit(x, y, sample_weight=weights)
    return model.coef_, model.intercept_


def binary_cross_entropy(features, labels, weight_decay):
    targets = np.array([[k in s for k in range(NUM_CLASSES)] for s in labels])
    models = [
        LogisticRegression(C=1 / (2 * len(labels) * weight_decay), **OPTIONS).fit(features, column)
        for column in targets.T
    ]
    return np.vstack([m.coef_ for m in models]), np.concatenate([m.intercept_ for m in models])


def main():
    rng = np.random.default_rng(4)
    features = np.round(rng.normal(size=(NUM_SAMPLES, DIM)), 3)
    features[rng.random(features.shape) < 0.2] = 0
    scores = features @ rng.normal(size=(DIM, NUM_CLASSES)) + rng.normal(size=(NUM_SAMPLES, NUM_CLASSES))
    labels = [sorted({int(np.argmax(row)), *np.flatnonzero(row > 1.2).tolist()}) for row in scores]
    fits = []
    for weight_decay in [1e-3, 1e-1]:
        for weighting in ["sum", "mean"]:
            weight, bias = pick_all_labels(features, labels, weighting, weight_decay)
            fits.append(({"name": "pick-all-labels", "weighting": weighting}, weight_decay, weight, bias))
        weight, bias = binary_cross_entropy(features, labels, weight_decay)
        fits.append(({"name": "binary-cross-entropy"}, weight_decay, weight, bias))
    print(
        json.dumps(
            {
                "num_classes": NUM_CLASSES,
                "dim": DIM,
                "features": features.tolist(),
                "labels": labels,
                "fits": [
                    {"loss": loss, "weight_decay": decay, "weight": weight.tolist(), "bias": bias.tolist()}
                    for loss, decay, weight, bias in fits
                ],
            }
        )
    )


main()
