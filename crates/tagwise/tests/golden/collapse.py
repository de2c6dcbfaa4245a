"""Golden values for crates/tagwise/tests/collapse.rs: every collapse metric from its definition,
in NumPy float64, with explicit d×d covariances and pseudo-inverses.

Needs: pip install numpy. Run: in the folder of the crate, python tests/golden/collapse.py (writes collapse.json beside it).
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np


def degrees_between(a, b):
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def etf_gap(gram):
    k = len(gram)
    ideal = (np.eye(k) - np.ones((k, k)) / k) / np.sqrt(k - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - ideal)


def set_table(features, targets):
    """{label set: rows}, without the empty set."""
    table = {}
    for row, target in enumerate(targets):
        labels = tuple(int(k) for k in np.flatnonzero(target))
        if labels:
            table.setdefault(labels, []).append(row)
    return {labels: features[rows] for labels, rows in table.items()}


def estimate(table, tags, own, basis):
    """NC1 without the shares of noise, by analysis of variance with explicit covariances."""
    samples = np.concatenate(list(table.values()))
    n, count = len(samples), len(table)
    free = n - count
    once = sum(len(rows) == 1 for rows in table.values())
    result = {"degrees_of_freedom": free, "num_once": once, "tag_span": None, "trace_quotient": None}
    if free == 0:
        return result
    within = sum((rows - rows.mean(0)).T @ (rows - rows.mean(0)) for rows in table.values()) / free
    centred = np.stack([rows.mean(0) for rows in table.values()]) - samples.mean(0)
    inverse = np.array([1 / len(rows) for rows in table.values()])
    # Noise of the centred means: row i is Σ_j C_ij ε_j with C = I − 1wᵀ and Var ε_j = Σ/n_j.
    centring = np.eye(count) - np.outer(np.ones(count), [len(rows) / n for rows in table.values()])
    noise = centring @ np.diag(inverse) @ centring.T
    distance = (np.trace(centred @ centred.T) - np.trace(noise) * np.trace(within)) / count
    if distance > 0:
        result["trace_quotient"] = np.trace(within) / distance
    inside = centred @ basis
    size = inside.shape[1]
    rank = np.linalg.matrix_rank(inside)
    ambient = (features_dim(table), np.trace(within)) if own else (size, np.trace(basis.T @ within @ basis))
    if rank < ambient[0]:
        # All the noise of the Gram matrix lies in the directions that the sets span.
        left, values, right = np.linalg.svd(inside, full_matrices=False)
        left, values, right = left[:, :rank], values[:rank], right[:rank]
        between = np.diag(values**2) - ambient[1] * left.T @ noise @ left
        spread = right @ basis.T @ within @ basis @ right.T
    else:
        spread = basis.T @ within @ basis
        between = inside.T @ inside - np.trace(noise) * spread
    if np.linalg.eigvalsh(between).min() > 0:
        result["tag_span"] = np.trace(np.linalg.solve(between / count, spread)) / min(count, len(tags))
    return result


def nc1(table, tags, own=False):
    """tags: the rows whose differences span the directions of `tag_span`; own: they are the means of the table."""
    samples = np.concatenate(list(table.values()))
    centre = samples.mean(0)
    residuals = np.concatenate([rows - rows.mean(0) for rows in table.values()])
    within = residuals.T @ residuals / len(samples)
    between = np.mean([np.outer(rows.mean(0) - centre, rows.mean(0) - centre) for rows in table.values()], axis=0)
    count = len(table)
    if count < 2:
        return {"value": None, "tag_span": None, "trace_quotient": None, "cdnv": None, "rank": 0}
    # Σ_B = AᵀA and Σ_B† = A†A†ᵀ: the pseudo-inverse of the factor keeps twice the digits.
    factor = np.stack([rows.mean(0) - centre for rows in table.values()]) / np.sqrt(count)
    # Differences of means are exact to the rounding of the means.
    rounding = 8 * np.finfo(float).eps * np.abs(samples).max() * np.sqrt(features_dim(table))
    largest = np.linalg.norm(factor, 2)
    rcond = max(max(count, features_dim(table)) * np.finfo(float).eps, rounding / largest)
    inverse = np.linalg.pinv(factor, rcond=rcond)
    inverse = inverse @ inverse.T
    # An orthonormal basis of the differences by QR, so that nothing is shared with the program's SVD.
    differences = (tags[1:] - tags[0]).T
    rank = np.linalg.matrix_rank(differences)
    basis = np.linalg.qr(differences @ np.random.default_rng(0).normal(size=(differences.shape[1], rank)))[0]
    inside = np.linalg.pinv(factor @ basis, rcond=rcond)
    inside = basis @ (inside @ inside.T) @ basis.T
    spread = {s: ((rows - rows.mean(0)) ** 2).sum(1).mean() for s, rows in table.items()}
    cdnv = [
        (spread[s] + spread[t]) / (2 * ((table[s].mean(0) - table[t].mean(0)) ** 2).sum())
        for s, t in combinations(table, 2)
    ]
    return {
        "value": np.trace(within @ inverse) / count,
        "tag_span": np.trace(within @ inside) / min(count, len(tags)),
        "trace_quotient": np.trace(within) / np.trace(between),
        "cdnv": np.mean(cdnv),
        "rank": int(np.linalg.matrix_rank(factor, tol=rcond * largest)),
        "estimate": estimate(table, tags, own, basis),
    }


def features_dim(table):
    return next(iter(table.values())).shape[1]


def tag_vectors(table, num_classes):
    """Class means, or scaled least squares with the measured ones held fixed."""
    dim = features_dim(table)
    vectors = np.zeros((num_classes, dim))
    measured = [k for k in range(num_classes) if (k,) in table]
    observed = sorted({k for labels in table for k in labels})
    missing = [k for k in observed if k not in measured]
    for k in measured:
        vectors[k] = table[(k,)].mean(0)
    if missing:
        labels = list(table)
        sizes = sorted({len(s) for s in labels})
        scale = {m: 1.0 for m in sizes}
        for _ in range(20000):
            lhs, rhs = [], []
            for s in labels:
                root = np.sqrt(len(table[s]))
                known = sum((vectors[k] for k in s if k in measured), np.zeros(dim))
                lhs.append([root * scale[len(s)] * (k in s) for k in missing])
                rhs.append(root * (table[s].mean(0) - scale[len(s)] * known))
            vectors[missing] = np.linalg.lstsq(np.array(lhs), np.array(rhs), rcond=None)[0]
            change = 0.0
            for m in sizes[1:]:
                pairs = [(table[s].mean(0), vectors[list(s)].sum(0), len(table[s])) for s in labels if len(s) == m]
                fresh = sum(n * h @ v for h, v, n in pairs) / sum(n * v @ v for h, v, n in pairs)
                change = max(change, abs(fresh - scale[m]))
                scale[m] = fresh
            if change < 1e-15:
                break
    if missing or len(observed) < num_classes:
        centre = vectors[observed].mean(0)
    else:
        centre = np.concatenate([table[(k,)] for k in measured]).mean(0)
    return vectors, observed, centre


def frame(rows):
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1)
    pairs = list(combinations(range(len(rows)), 2))
    cosines = np.array([units[i] @ units[j] for i, j in pairs])
    distances = np.array([np.linalg.norm(units[i] - units[j]) for i, j in pairs])
    return {
        "norm_variation": norms.std() / norms.mean(),
        "cosine_deviation": cosines.std(),
        "etf_cosine_gap": np.abs(cosines + 1 / (len(rows) - 1)).mean(),
        "smallest_angle_degrees": np.degrees(np.arccos(cosines.max())),
        "log_energy": np.log(1 / distances).mean(),
        "log_kernel_deviation": np.log(1 / distances).std(),
        "riesz_energy": (1 / distances).mean(),
    }


def nc_m(table, vectors, m):
    labels = [s for s in table if len(s) == m]
    means = [table[s].mean(0) for s in labels]

    def summary(syntheses):
        own = np.mean([degrees_between(h, v) for h, v in zip(means, syntheses)])
        every = np.mean([degrees_between(h, v) for h in means for v in syntheses])
        return {"angle_degrees": own, "all_pairs_degrees": every, "value": own / every}

    best = [np.linalg.lstsq(vectors[list(s)].T, h, rcond=None)[0] @ vectors[list(s)] for s, h in zip(labels, means)]
    return {
        "num_sets": len(labels),
        "uniform": summary([vectors[list(s)].sum(0) for s in labels]),
        "weighted": summary(best),
    }


def published_code(features, targets, table, num_classes, weight):
    """The paper's public utility functions in float64, first samples overwritten in place."""
    first = {}
    for row, target in enumerate(targets):
        if target.sum() == 1:
            first.setdefault(int(np.argmax(target)), row)
    means = np.stack([table[(k,)].mean(0) for k in range(num_classes)])
    singles = {k: table[(k,)].copy() for k in range(num_classes)}
    for k in range(num_classes):
        singles[k][0] = means[k]
    total = sum(len(rows) for rows in singles.values())
    mu = sum(table[(k,)].sum(0) for k in range(num_classes)) / len(features)
    within = sum((rows - means[k]).T @ (rows - means[k]) for k, rows in singles.items()) / total
    between = sum(np.outer(h - mu, h - mu) for h in means) / num_classes
    rcond = max(between.shape) * np.finfo(float).eps
    altered = {k: rows.mean(0) for k, rows in singles.items()}
    pairs = {s: rows.mean(0) for s, rows in table.items() if len(s) == 2}
    own = [degrees_between(h, altered[i] + altered[j]) for (i, j), h in pairs.items()]
    every = [
        degrees_between(h, altered[i] + altered[j]) for i, j in combinations(range(num_classes), 2) for h in pairs.values()
    ]
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=rcond, hermitian=True)) / num_classes,
        "nc2_w": etf_gap(weight @ weight.T),
        "nc2_h": etf_gap(means @ means.T),
        "nc3": etf_gap(weight @ (means - mu).T),
        "angle_metric": np.mean(own) / np.mean(every) if pairs else None,
    }


def measure(case):
    features = np.array(case["features"])
    targets = np.array(case["targets"])
    num_classes = targets.shape[1]
    table = set_table(features, targets)
    sizes = sorted({len(s) for s in table})
    vectors, observed, centre = tag_vectors(table, num_classes)
    raw, centred = vectors[observed], vectors[observed] - centre
    singular = np.linalg.svd(centred, compute_uv=False)
    share = singular[singular > 0] / singular.sum()
    alone = all((k,) in table for k in observed)
    expected = {
        "nc1": {str(m): nc1({s: r for s, r in table.items() if len(s) == m}, raw, alone and m == 1) for m in sizes},
        "nc1_pooled": nc1(table, raw, alone and sizes == [1]),
        "nc2_centred_means": etf_gap(centred @ centred.T),
        "nc2_raw_means": etf_gap(raw @ raw.T),
        "frame_centred_means": frame(centred),
        "effective_rank": np.exp(-(share * np.log(share)).sum()),
        "nc_m": {str(m): nc_m(table, vectors, m) for m in sizes if m > 1},
    }
    expected["label_sets"] = [
        {
            "num_samples": len(table[s]),
            "norm": np.linalg.norm(table[s].mean(0)),
            "spread": np.sqrt(((table[s] - table[s].mean(0)) ** 2).sum(1).mean()),
            "angle_degrees": degrees_between(table[s].mean(0), vectors[list(s)].sum(0)) if len(s) > 1 else None,
            "scale": np.linalg.lstsq(vectors[list(s)].sum(0)[:, None], table[s].mean(0), rcond=None)[0][0]
            if len(s) > 1
            else None,
        }
        for s in sorted(table, key=lambda s: (len(s), s))
    ]
    residual = {}
    for m in sizes:
        group = {s: r for s, r in table.items() if len(s) == m}
        squares = sum(((r - r.mean(0)) ** 2).sum() for r in group.values())
        residual[m] = np.sqrt(squares / sum(len(r) for r in group.values()))
    ranking = []
    for row, target in enumerate(targets):
        labels = tuple(int(k) for k in np.flatnonzero(target))
        if labels and residual[len(labels)] > 0:
            distance = np.linalg.norm(features[row] - table[labels].mean(0))
            ranking.append((-distance / residual[len(labels)], row))
    expected["worst"] = [{"sample": row, "relative": -value} for value, row in sorted(ranking)[:3]]
    if "weight" in case:
        weight, bias = np.array(case["weight"]), np.array(case["bias"])
        expected["nc2_classifier"] = etf_gap(weight @ weight.T)
        expected["frame_classifier"] = frame(weight)
        expected["nc3"] = etf_gap(weight[observed] @ centred.T)
        w = weight[observed]
        expected["duality"] = {
            "angle_degrees": np.mean([degrees_between(a, b) for a, b in zip(w, centred)]),
            "distance": ((w / np.linalg.norm(w) - centred / np.linalg.norm(centred)) ** 2).sum(),
        }
        singles = [s for s in table if len(s) == 1]
        if singles:
            means = np.stack([table[s].mean(0) for s in singles])
            rows = np.concatenate([table[s] for s in singles])
            by_mean = np.array([s[0] for s in singles])[((rows[:, None] - means) ** 2).sum(2).argmin(1)]
            expected["nc4"] = float((by_mean == (rows @ weight.T + bias).argmax(1)).mean())
        if all((k,) in table for k in range(num_classes)):
            expected["nc_mlab"] = published_code(features, targets, table, num_classes, weight)
    return expected


def make(seed, num_classes, dim, counts, spread, offset, missing=(), unlabelled=0, digits=4, classifier=True):
    """Random class directions, tag-wise means with some error, Gaussian spread."""
    rng = np.random.default_rng(seed)
    tags = rng.normal(size=(num_classes, dim))
    features, targets = [], []
    for m, per_set in counts.items():
        for labels in combinations(range(num_classes), m):
            if m == 1 and labels[0] in missing:
                continue
            if m > 1 and rng.random() < 0.2:
                continue
            mean = offset + tags[list(labels)].sum(0) / np.sqrt(m) + 0.3 * spread * rng.normal(size=dim)
            for _ in range(int(rng.integers(1, per_set + 1))):
                features.append(mean + spread * rng.normal(size=dim))
                targets.append([int(k in labels) for k in range(num_classes)])
    for _ in range(unlabelled):
        features.append(rng.normal(size=dim))
        targets.append([0] * num_classes)
    order = rng.permutation(len(features))
    features = np.array(features)[order]
    case = {
        "features": (features.round(digits) if digits else features).tolist(),
        "targets": np.array(targets)[order].tolist(),
    }
    if classifier:
        weight = tags - tags.mean(0) + 0.1 * rng.normal(size=(num_classes, dim))
        case["weight"] = weight.round(4).tolist()
        case["bias"] = rng.normal(scale=0.1, size=num_classes).round(4).tolist()
    return case


CASES = {
    "three multiplicities": make(1, 4, 6, {1: 6, 2: 4, 3: 3}, 0.5, 0.0),
    "unlabelled samples": make(2, 5, 8, {1: 5, 2: 3}, 0.3, 0.5, unlabelled=3),
    "single labels only": make(3, 3, 2, {1: 6}, 0.4, 0.0),
    "more classes than dimensions": make(4, 6, 3, {1: 4, 2: 3}, 0.3, 0.0),
    "classes never alone": make(5, 5, 7, {1: 5, 2: 4, 3: 2}, 0.2, 0.0, missing=(1, 4)),
    "no single labels": make(6, 4, 6, {2: 5, 3: 3}, 0.2, 0.0, missing=(0, 1, 2, 3), classifier=False),
    "collapsed far from the origin": make(7, 4, 5, {1: 6, 2: 4}, 1e-3, 50.0, digits=None),
}

if __name__ == "__main__":
    golden = [{"name": name, "case": case, "expected": measure(case)} for name, case in CASES.items()]
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, separators=(",", ":"), default=float) + "\n")
    print(path.name, path.stat().st_size, "bytes")
