"""Reference values of the unconstrained feature model: writes ufm.json beside this file.

Needs: pip install numpy scipy mpmath

Balanced data: the margins t_m minimise a smooth convex function of as many variables as there are
multiplicities; mpmath finds its stationary point with 40 digits. Other label distributions: SciPy's
L-BFGS-B minimises the full problem, one feature per sample, from several random starts.
"""

import json
from math import comb
from pathlib import Path

import mpmath as mp
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

mp.mp.dps = 40


def balanced(num_classes, counts, weighting, features, classifier, lambda_w, lambda_h):
    """The optimum for `counts[m]` samples per label set of m labels."""
    k = mp.mpf(num_classes)
    ms = [m for m in counts if 0 < m < num_classes]
    totals = {m: mp.mpf(counts[m]) * comb(num_classes, m) for m in counts}
    n = sum(totals.values())
    alpha = {m: mp.mpf(1) if weighting == "sum" else mp.mpf(1) / m for m in counts if m}
    lw, lh = mp.mpf(lambda_w), mp.mpf(lambda_h)

    def spread(m):
        return mp.mpf(m) * (k - m) / k if features == "free" else mp.mpf(m)

    def energy(t):
        return sum(totals[m] * spread(m) * x**2 for m, x in zip(ms, t))

    def value(t):
        loss = sum(
            totals[m] / n * alpha[m] * m * mp.log(m + (k - m) * mp.exp(-x)) for m, x in zip(ms, t)
        )
        if num_classes in counts:
            loss += totals[num_classes] / n * alpha[num_classes] * k * mp.log(k)
        if classifier == "fixed-etf":
            return loss + lh * energy(t) * (k - 1) / k
        # λ_W K w² + λ_H energy/β with β = w²K/(K−1), minimised over β
        return loss + 2 * mp.sqrt(lw * lh * (k - 1) * energy(t))

    def gradient(*t):
        result = []
        for i, m in enumerate(ms):
            x = t[i]
            slope = -totals[m] / n * alpha[m] * m * (k - m) / (m * mp.exp(x) + k - m)
            if classifier == "fixed-etf":
                slope += 2 * lh * totals[m] * spread(m) * x * (k - 1) / k
            else:
                slope += 2 * mp.sqrt(lw * lh * (k - 1)) * totals[m] * spread(m) * x / mp.sqrt(energy(t))
            result.append(slope)
        return result

    t = [mp.mpf(3)] * len(ms)  # near every margin of the cases below
    root = mp.findroot(gradient, t, tol=1e-30, maxsteps=200)
    t = [root[i] for i in range(len(ms))]
    assert all(x > 0 for x in t), t
    if classifier == "fixed-etf":
        beta = k / (k - 1)
    else:
        beta = mp.sqrt(lh * energy(t) / (lw * (k - 1)))
    return {
        "value": float(value(t)),
        "classifier_norm": float(mp.sqrt(beta * (k - 1) / k)),
        "scales": {str(m): float(x / beta) for m, x in zip(ms, t)},
        "feature_norms": {str(m): float(x * mp.sqrt(spread(m) / beta)) for m, x in zip(ms, t)},
        "label_masses": {str(m): float(m / (m + (k - m) * mp.exp(-x))) for m, x in zip(ms, t)},
    }


def balanced_case(num_classes, counts, weighting="sum", features="free", classifier="learned", lambda_h=None, lambda_w=5e-3):
    n = sum(comb(num_classes, m) * c for m, c in counts.items())
    lambda_h = 5e-3 * num_classes / n if lambda_h is None else lambda_h
    return {
        "num_classes": num_classes,
        "counts": {str(m): c for m, c in counts.items()},
        "weighting": weighting,
        "features": features,
        "classifier": classifier,
        "lambda_w": lambda_w,
        "lambda_h": lambda_h,
        "expected": balanced(num_classes, counts, weighting, features, classifier, lambda_w, lambda_h),
    }


def full_problem(num_classes, sets, dim, weighting, bias, lambda_w, lambda_h, lambda_b, features, starts=6):
    """The least value that L-BFGS-B finds for one feature per sample."""
    samples = [s for s, count in sets for _ in range(count)]
    n = len(samples)
    y = np.zeros((n, num_classes))
    for i, s in enumerate(samples):
        y[i, s] = 1
    m = y.sum(1)
    alpha = np.ones(n) if weighting == "sum" else np.where(m > 0, 1 / np.maximum(m, 1), 0)
    sizes = [num_classes * dim, n * dim, num_classes if bias != "none" else 0]

    def f(x):
        w = x[: sizes[0]].reshape(num_classes, dim)
        h = x[sizes[0] : sizes[0] + sizes[1]].reshape(n, dim)
        b = x[sizes[0] + sizes[1] :] if sizes[2] else np.zeros(num_classes)
        z = h @ w.T + b
        lse = logsumexp(z, axis=1)
        p = np.exp(z - lse[:, None])
        loss = np.sum(alpha * (m * lse - np.sum(y * z, 1))) / n
        value = loss + lambda_w * np.sum(w * w) + lambda_h * np.sum(h * h)
        u = (alpha / n)[:, None] * (m[:, None] * p - y)
        gw, gh = u.T @ h + 2 * lambda_w * w, u @ w + 2 * lambda_h * h
        parts = [gw.ravel(), gh.ravel()]
        if sizes[2]:
            decay = lambda_b if bias == "decayed" else 0.0
            value += decay * b @ b
            parts.append(u.sum(0) + 2 * decay * b)
        return value, np.concatenate(parts)

    bounds = [(None, None)] * sizes[0] + [(0 if features == "non-negative" else None, None)] * sizes[1] + [(None, None)] * sizes[2]
    best = np.inf
    rng = np.random.default_rng(0)
    for _ in range(starts):
        x0 = rng.normal(size=sum(sizes)) * 0.5
        if features == "non-negative":
            x0[sizes[0] : sizes[0] + sizes[1]] = np.abs(x0[sizes[0] : sizes[0] + sizes[1]])
        r = minimize(f, x0, jac=True, method="L-BFGS-B", bounds=bounds, options=dict(maxiter=100000, maxfun=200000, ftol=0, gtol=1e-11, maxcor=30))
        best = min(best, r.fun)
    return float(best)


def distribution_case(name, num_classes, sets, dim=None, weighting="sum", bias="decayed", lambda_w=5e-3, lambda_h=None, features="free"):
    n = sum(count for _, count in sets)
    dim = num_classes if dim is None else dim
    lambda_h = 5e-3 * num_classes / n if lambda_h is None else lambda_h
    return {
        "name": name,
        "num_classes": num_classes,
        "sets": [[list(s), count] for s, count in sets],
        "dim": dim,
        "weighting": weighting,
        "bias": bias,
        "lambda_w": lambda_w,
        "lambda_h": lambda_h,
        "lambda_b": 1e-3,
        "features": features,
        "value": full_problem(num_classes, sets, dim, weighting, bias, lambda_w, lambda_h, 1e-3, features),
    }


def main():
    pairs = [(i, j) for i in range(5) for j in range(i)]
    steep = [([k], 16 >> k) for k in range(5)] + [(list(p), 2) for p in pairs]
    mixed = [([0], 5), ([1], 1), ([0, 1], 3), ([2, 3, 0], 2), ([1, 2], 7), ([0, 1, 2, 3], 2), ([], 2)]
    result = {
        "balanced": [
            balanced_case(3, {1: 2, 2: 2}),
            balanced_case(4, {1: 3, 2: 2, 3: 1}),
            balanced_case(5, {1: 2, 2: 1, 3: 1}),
            balanced_case(6, {1: 2, 2: 1}),
            balanced_case(5, {1: 2, 2: 1, 3: 1}, weighting="mean"),
            balanced_case(4, {2: 2}),
            balanced_case(5, {2: 2}),
            balanced_case(6, {2: 2}),
            balanced_case(5, {1: 2, 2: 1, 5: 3}),
            balanced_case(7, {1: 4, 3: 1}, weighting="mean", lambda_w=1e-4),
            balanced_case(5, {1: 2, 2: 1, 3: 1}, features="non-negative"),
            balanced_case(10, {1: 3100, 2: 200}, weighting="mean", classifier="fixed-etf", lambda_h=1e-3 * 128 / 40000),
            balanced_case(10, {1: 3100, 2: 200}, weighting="mean", classifier="fixed-etf", lambda_h=1e-4 * 128 / 40000),
            balanced_case(10, {1: 3100, 2: 200}, weighting="mean", classifier="fixed-etf", features="non-negative", lambda_h=1e-4 * 128 / 40000),
            balanced_case(10, {1: 3100, 2: 200}, weighting="mean", features="non-negative", lambda_w=2.5e-4, lambda_h=1e-3 * 128 / 40000),
        ],
        "distributions": [
            distribution_case("imbalanced singles", 5, steep),
            distribution_case("imbalanced singles, no bias", 5, steep, bias="none"),
            distribution_case("imbalanced singles, free bias", 5, steep, bias="free"),
            distribution_case("mixed, with empty and full sets", 4, mixed),
            distribution_case("mixed, PAL-N", 4, mixed, weighting="mean", lambda_w=1e-3),
            distribution_case("weak decay", 4, mixed, lambda_w=1e-4, lambda_h=1e-5),
            distribution_case("few dimensions", 5, steep, dim=2),
            distribution_case("absent class", 5, [([0], 3), ([1, 2], 2), ([3], 1), ([0, 3], 2)]),
            distribution_case("balanced, non-negative", 4, [([k], 2) for k in range(4)] + [([i, j], 1) for i in range(4) for j in range(i)], dim=4, features="non-negative"),
        ],
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
