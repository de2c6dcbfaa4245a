"""Reference values of the unconstrained feature model with the set likelihood: writes
ufm_set_likelihood.json beside this file.

Needs: pip install numpy scipy

All label sets of at most M labels are enumerated, so that −log p(S) and its gradient are a softmax
over sets. SciPy's L-BFGS-B minimises the full problem, one feature per sample, from several random
starts; the best value of all is kept.
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

STARTS = 8


def solve(case):
    k, d, most = case["num_classes"], case["dim"], case["max_multiplicity"]
    samples = [tuple(labels) for labels, count in case["sets"] for _ in range(count)]
    n = len(samples)
    sets = [s for m in range(most + 1) for s in combinations(range(k), m)]
    hot = np.array([[float(j in s) for j in range(k)] for s in sets])  # [sets, K]
    size = np.array([[float(j == len(s)) for j in range(most + 1)] for s in sets])
    own = np.array([sets.index(s) for s in samples])
    lw, lb, lc = case["lambda_w"], case["lambda_b"], case["lambda_c"]
    lh = case["lambda_h"]
    is_fixed = case["classifier"] == "fixed-etf"
    fixed = np.sqrt(k / (k - 1)) * (np.eye(k) - 1.0 / k) if is_fixed else None  # d = K
    shapes = [(0 if is_fixed else k, d), (n, d), (k if lb else 0,), (most + 1 if lc else 0,)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def parts(x):
        return [p.reshape(s) for p, s in zip(np.split(x, ends[:-1]), shapes)]

    def objective(x):
        w, h, b, c = parts(x)
        weight = fixed if is_fixed else w
        z = h @ weight.T + (b if lb else 0.0)  # [N, K]
        scores = z @ hot.T + (size @ c if lc else 0.0)  # [N, sets]
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        value = -logs[np.arange(n), own].mean()
        p = np.exp(logs)
        p[np.arange(n), own] -= 1.0
        p /= n
        by_z = p @ hot
        value += lw * (w**2).sum() + lh * (h**2).sum() + (lb or 0) * (b**2).sum() + (lc or 0) * (c**2).sum()
        by_w = by_z.T @ h + 2 * lw * w if not is_fixed else w
        by_b = by_z.sum(0) + 2 * lb * b if lb else b
        by_c = (p @ size).sum(0) + 2 * lc * c if lc else c
        gradient = [by_w, by_z @ weight + 2 * lh * h, by_b, by_c]
        return value, np.concatenate([g.ravel() for g in gradient])

    bounds = None
    if case["features"] == "non-negative":
        bounds = [(None, None)] * ends[0] + [(0, None)] * (n * d) + [(None, None)] * int(ends[-1] - ends[1])
    best = None
    for seed in range(STARTS):
        x = np.random.default_rng(seed).normal(size=int(ends[-1]))
        if bounds is not None:
            x[ends[0] : ends[1]] = np.abs(x[ends[0] : ends[1]])
        for _ in range(5):  # a failed line search is no end
            found = minimize(
                objective, x, jac=True, method="L-BFGS-B", bounds=bounds,
                options={"maxiter": 50_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30},
            )
            x = found.x
        if best is None or found.fun < best.fun:
            best = found
    w, h, b, c = parts(best.x)
    weight = fixed if is_fixed else w
    return {
        **case,
        "value": float(best.fun),
        "row_norms": [float(x) for x in np.linalg.norm(weight, axis=1)],
        "mean_row_norm": float(np.linalg.norm(weight.mean(0))),
        "potentials": [float(x) for x in c],
        "feature_norms": {str(list(s)): float(np.linalg.norm(h[samples.index(s)])) for s in sorted(set(samples))},
    }


def case(name, k, sets, **changes):
    n = sum(count for _, count in sets)
    settings = {
        "name": name, "num_classes": k, "dim": k, "sets": sets,
        "max_multiplicity": max(len(labels) for labels, _ in sets),
        "lambda_w": 5e-3, "lambda_h": 5e-3 * k / n, "lambda_b": 1e-3, "lambda_c": 1e-3,
        "features": "free", "classifier": "learned",
    }
    return {**settings, **changes}


def balanced(k, counts):
    return [[list(s), count] for m, count in counts.items() for s in combinations(range(k), m)]


uneven = [[[0], 4], [[1], 2], [[2], 1], [[0, 1], 3], [[1, 2], 1]]
with_empty = [[[], 3], *uneven, [[0, 1, 2, 3], 1]]
CASES = [
    case("balanced 4: 1, 2", 4, balanced(4, {1: 3, 2: 2})),
    case("balanced 4: 0, 1, 2, 4", 4, balanced(4, {0: 5, 1: 3, 2: 2, 4: 2})),
    case("balanced 5: 2 only", 5, balanced(5, {2: 2})),
    case("balanced 4: 1, 2, no potentials, no bias", 4, balanced(4, {1: 3, 2: 2}), lambda_c=None, lambda_b=None),
    case("balanced 4: 1, 2, M = 4", 4, balanced(4, {1: 3, 2: 2}), max_multiplicity=4),
    case("balanced 4: fixed ETF", 4, balanced(4, {0: 2, 1: 3, 2: 2}), classifier="fixed-etf"),
    case("balanced 4: fixed ETF, non-negative", 4, balanced(4, {1: 3, 2: 2}), classifier="fixed-etf",
         features="non-negative"),
    case("balanced 3: strong decay", 3, balanced(3, {1: 2, 2: 2}), lambda_w=0.3, lambda_h=0.3),
    case("balanced 4: a stronger decay", 4, balanced(4, {1: 3, 2: 3}), lambda_w=0.04, lambda_h=0.04 * 4 / 30),
    case("uneven 3", 3, uneven),
    case("uneven 4 with empty and full", 4, with_empty),
    case("uneven 4, fixed ETF", 4, with_empty, classifier="fixed-etf"),
    case("uneven 3, no potentials", 3, uneven, lambda_c=None),
    case("one set only", 3, [[[0, 2], 4]]),
    case("the full set only", 3, [[[0, 1, 2], 4]]),
]

if __name__ == "__main__":
    answers = [solve(case) for case in CASES]
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(answers, indent=1) + "\n")
    for answer in answers:
        print(answer["name"], answer["value"], answer["mean_row_norm"], answer["potentials"])
