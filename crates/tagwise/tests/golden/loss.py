"""Values and gradients of the multi-label losses from PyTorch's autograd, in float64.

Needs: pip install numpy torch
Run:   in the folder of the crate, python tests/golden/loss.py > tests/golden/loss.json
"""

import json

import numpy as np
import torch
import torch.nn.functional as F

NUM_CLASSES = 6
LABEL_SETS = [[], [0], [5], [1, 3], [0, 2, 4], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
SCALES = [0.1, 1.0, 10.0, 60.0]


def pick_all_labels(z, y):
    return F.cross_entropy(z[None], y[None], reduction="sum")


def pick_all_labels_mean(z, y):
    m = y.sum()
    return F.cross_entropy(z[None], (y / m)[None], reduction="sum") if m > 0 else (0 * z).sum()


def binary_cross_entropy(z, y):
    return F.binary_cross_entropy_with_logits(z, y, reduction="sum")


def focal(z, y, gamma):
    per_label = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    miss = torch.sigmoid(torch.where(y > 0, -z, z))  # 1 - p_t
    return (miss**gamma * per_label).sum()


def asymmetric(z, y, gamma_positive, gamma_negative, margin):
    p = torch.sigmoid(z)
    shifted = (p - margin).clamp(min=0)
    positive = -torch.sigmoid(-z) ** gamma_positive * F.logsigmoid(z)
    log_rest = F.logsigmoid(-z) if margin == 0 else torch.log1p(-shifted)
    negative = -(shifted**gamma_negative) * log_rest
    return torch.where(y > 0, positive, negative).sum()


def zlpr(z, y):
    zero = torch.zeros(1, dtype=z.dtype)
    outside = torch.logsumexp(torch.cat([zero, z[y == 0]]), 0)
    inside = torch.logsumexp(torch.cat([zero, -z[y > 0]]), 0)
    return outside + inside


LOSSES = [
    ({"name": "pick-all-labels"}, pick_all_labels),
    ({"name": "pick-all-labels", "weighting": "mean"}, pick_all_labels_mean),
    ({"name": "binary-cross-entropy"}, binary_cross_entropy),
    ({"name": "focal", "gamma": 2.0}, lambda z, y: focal(z, y, 2.0)),
    ({"name": "focal", "gamma": 1.5}, lambda z, y: focal(z, y, 1.5)),
    (
        {"name": "asymmetric", "gamma_positive": 1.0, "gamma_negative": 4.0, "margin": 0.05},
        lambda z, y: asymmetric(z, y, 1.0, 4.0, 0.05),
    ),
    (
        {"name": "asymmetric", "gamma_positive": 0.0, "gamma_negative": 2.5, "margin": 0.0},
        lambda z, y: asymmetric(z, y, 0.0, 2.5, 0.0),
    ),
    ({"name": "zlpr"}, zlpr),
]


def main():
    rng = np.random.default_rng(20260)
    cases = []
    for labels in LABEL_SETS:
        for scale in SCALES:
            logits = np.round(rng.normal(size=NUM_CLASSES) * scale, 6)
            targets = torch.zeros(NUM_CLASSES, dtype=torch.float64)
            targets[labels] = 1
            for loss, function in LOSSES:
                z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
                value = function(z, targets)
                (gradient,) = torch.autograd.grad(value, z)
                cases.append(
                    {
                        "loss": loss,
                        "logits": logits.tolist(),
                        "labels": labels,
                        "value": value.item(),
                        "gradient": gradient.tolist(),
                    }
                )
    print("[")
    print(",\n".join(json.dumps(case) for case in cases))
    print("]")


main()
