"""The set likelihood by enumerating every label set, with PyTorch's autograd, in float64.

Needs: pip install numpy torch
Run:   in the folder of the crate, python tests/golden/set_likelihood.py > tests/golden/set_likelihood.json
"""

import itertools
import json

import numpy as np
import torch


def label_sets(num_classes, most):
    return [s for m in range(most + 1) for s in itertools.combinations(range(num_classes), m)]


def scores(z, c, theta, sets, seen):
    rows = []
    for labels in sets:
        score = z[list(labels)].sum() + c[len(labels)]
        if labels in seen:
            score = score + theta[seen.index(labels)]
        rows.append(score)
    return torch.stack(rows)


def expected_f1(probabilities, sets, num_classes):
    """The best answer among all, and its expected F1; an empty answer to an empty set counts 1."""
    best = (-1.0, ())
    for answer in label_sets(num_classes, num_classes):
        value = 0.0
        for p, labels in zip(probabilities, sets):
            both = len(set(labels) & set(answer))
            total = len(labels) + len(answer)
            value += p * (1.0 if total == 0 else 2 * both / total)
        if value > best[0] + 1e-12:
            best = (value, answer)
    return best


def case(rng, num_classes, most, num_seen, scale, target=None):
    z = torch.tensor(np.round(rng.normal(size=num_classes) * scale, 6), requires_grad=True)
    c = torch.tensor(np.round(rng.normal(size=most + 1) * min(scale, 3.0), 6), requires_grad=True)
    sets = label_sets(num_classes, most)
    seen = [sets[i] for i in sorted(rng.choice(len(sets), size=min(num_seen, len(sets)), replace=False))]
    theta = torch.tensor(np.round(rng.normal(size=len(seen)) * 2, 6), requires_grad=True)
    if target is None:
        target = sets[rng.integers(len(sets))]
    s = scores(z, c, theta, sets, seen)
    log_partition = torch.logsumexp(s, 0)
    value = log_partition - s[sets.index(target)]
    slopes = torch.autograd.grad(value, [z, c, theta], allow_unused=True)
    p = torch.exp(s - log_partition).detach().numpy()
    order = np.argsort(-p, kind="stable")[:5]
    f1, answer = expected_f1(p, sets, num_classes)
    return {
        "logits": z.tolist(),
        "multiplicities": c.tolist(),
        "seen_sets": [list(labels) for labels in seen],
        "set_potentials": theta.tolist(),
        "labels": list(target),
        "value": value.item(),
        "slopes": [[] if g is None else g.tolist() for g in slopes],
        "most_probable": [[list(sets[i]), float(p[i])] for i in order],
        "best_f1": f1,
        "best_f1_labels": list(answer),
    }


def main():
    rng = np.random.default_rng(31)
    cases = []
    for num_classes, most in [(1, 0), (1, 1), (4, 2), (5, 5), (7, 3), (8, 8)]:
        for num_seen in [0, 3, 10**6]:
            for scale in [0.3, 2.0, 20.0]:
                cases.append(case(rng, num_classes, most, num_seen, scale))
        cases.append(case(rng, num_classes, most, 2, 1.0, target=()))
        cases.append(case(rng, num_classes, most, 2, 1.0, target=tuple(range(most))))
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


main()
