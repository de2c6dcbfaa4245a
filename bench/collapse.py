"""Collapse metrics of the same arrays: tagwise, vectorised NumPy and PyTorch, and one outer
product per sample, side by side in one run.

Needs: pip install numpy torch safetensors. Build first: cargo build --release -p tagwise-cli.
Run: python bench/collapse.py [--tagwise target/release/tagwise] [--quick]

tagwise is timed as a whole process: start, mapped file (in the page cache), label sets, every
metric, NC4, residuals, JSON. The Python versions start from arrays in memory and compute NC1 per
multiplicity and pooled, NC2, NC3 and NC_m only. One outer product per sample is timed on a part of
the samples and scaled up, which is exact for a loop.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file


def balanced(n, d, rng):
    """K = 10, every class and every pair, two thirds single labels."""
    singles = [(k,) for k in range(10)]
    pairs = [(i, j) for j in range(10) for i in range(j)]
    weights = np.concatenate([np.full(10, 0.067), np.full(45, 0.33 / 45)])
    sets = singles + pairs
    return make(n, d, 10, [sets[i] for i in rng.choice(55, n, p=weights / weights.sum())], rng)


def skewed(n, d, rng):
    """K = 80, Zipf class frequencies, one to eight labels, mostly few: like natural images."""
    share = 1 / np.arange(1, 81)
    share /= share.sum()
    sizes = rng.choice(np.arange(1, 9), n, p=np.array([25, 24, 18, 13, 9, 6, 3, 2]) / 100)
    keys = np.log(share) + rng.gumbel(size=(n, 80))
    order = np.argsort(-keys, axis=1)
    return make(n, d, 80, [tuple(sorted(order[i, :m])) for i, m in enumerate(sizes)], rng)


def make(n, d, k, sets, rng):
    tags = rng.normal(size=(k, d)).astype(np.float32)
    targets = np.zeros((n, k), np.uint8)
    for row, labels in enumerate(sets):
        targets[row, list(labels)] = 1
    means = targets.astype(np.float32) @ tags / np.sqrt(targets.sum(1, keepdims=True, dtype=np.float32))
    features = means + 0.1 * rng.standard_normal((n, d), dtype=np.float32)
    return features, targets, tags


def grouped(targets):
    distinct, ids = np.unique(targets, axis=0, return_inverse=True)
    return distinct, ids.ravel(), np.bincount(ids.ravel())


def etf_gap(gram):
    k = len(gram)
    return np.linalg.norm(gram / np.linalg.norm(gram) - (np.eye(k) - 1 / k) / np.sqrt(k - 1))


def metrics(distinct, counts, means, scatters, weight):
    """What remains once means and scatters are known, for both vectorised versions."""
    size = distinct.sum(1)
    result = {}
    for name, chosen in [*((int(m), size == m) for m in np.unique(size)), ("pooled", size > 0)]:
        h, n = means[chosen], counts[chosen]
        centred = (h - (n / n.sum()) @ h) / np.sqrt(len(h))
        scatter = sum(scatters.values()) if name == "pooled" else scatters[name]
        if len(h) <= h.shape[1]:
            _, singular, directions = np.linalg.svd(centred, full_matrices=False)
            kept = singular**2 > 1e-13 * singular[0] ** 2
            directions = directions[kept] / singular[kept, None]
            trace = ((directions @ scatter) * directions).sum()
        else:
            trace = (scatter * np.linalg.pinv(centred.T @ centred, rcond=1e-13, hermitian=True)).sum()
        result[name] = trace / n.sum() / len(h)
    alone = size == 1
    tags = means[alone][np.argsort(distinct[alone].argmax(1))]
    centred = tags - (counts[alone] / counts[alone].sum()) @ tags
    result["nc2"] = [etf_gap(weight @ weight.T), etf_gap(centred @ centred.T)]
    result["nc3"] = etf_gap(weight @ centred.T)
    for m in np.unique(size[size > 1]):
        h, sums = means[size == m], distinct[size == m].astype(float) @ tags
        h = h / np.linalg.norm(h, axis=1, keepdims=True)
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
        angles = np.arccos(np.clip(h @ sums.T, -1, 1))
        result[f"nc_{m}"] = np.diag(angles).mean() / angles.mean()
    return result


def vectorised_numpy(features, targets, weight):
    distinct, ids, counts = grouped(targets)
    order = np.argsort(ids, kind="stable")
    x = features[order].astype(np.float64)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    means = np.add.reduceat(x, starts) / counts[:, None]
    x -= np.repeat(means, counts, axis=0)
    multiplicity = np.repeat(distinct.sum(1), counts)
    scatters = {int(m): x[multiplicity == m].T @ x[multiplicity == m] for m in np.unique(multiplicity)}
    return metrics(distinct, counts, means, scatters, weight)


def vectorised_torch(features, targets, weight):
    distinct, ids, counts = grouped(targets)
    x, index = torch.from_numpy(features).double(), torch.from_numpy(ids)
    means = torch.zeros(len(distinct), x.shape[1], dtype=torch.float64).index_add_(0, index, x)
    means /= torch.from_numpy(counts)[:, None]
    x -= means[index]
    multiplicity = torch.from_numpy(distinct.sum(1).astype(np.int64))[index]
    scatters = {}
    for m in multiplicity.unique().tolist():
        part = x[multiplicity == m]
        scatters[m] = (part.T @ part).numpy()
    return metrics(distinct, counts, means.numpy(), scatters, weight)


def one_outer_product_per_sample(features, targets, seconds=4.0):
    """Σ_W of all label sets as the paper's public code sums it, in float32."""
    distinct, ids, counts = grouped(targets)
    x = torch.from_numpy(features)
    means = torch.zeros(len(distinct), x.shape[1]).index_add_(0, torch.from_numpy(ids), x)
    means /= torch.from_numpy(counts)[:, None]
    sigma, done, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds and done < len(x):
        diff = x[done] - means[ids[done]]
        sigma += torch.outer(diff, diff)
        done += 1
    return (time.perf_counter() - start) * len(x) / done


def timed(run, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - start)
    return min(times), result


def machine_rates():
    """Read bandwidth and f64 product rate of this machine, all cores."""
    x = torch.ones(1 << 28, dtype=torch.float32)
    bandwidth = x.nbytes / timed(lambda: x.sum())[0] / 1e9
    a = torch.randn(3000, 3000, dtype=torch.float64)
    return bandwidth, 2 * 3000**3 / timed(lambda: a @ a)[0] / 1e9


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tagwise", default="target/release/tagwise")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    bandwidth, product_rate = machine_rates()
    print(f"cores {torch.get_num_threads()}, read {bandwidth:.1f} GB/s, f64 product {product_rate:.0f} GFLOP/s")
    rng = np.random.default_rng(0)
    cases = {
        "K=10 d=512": (balanced, 100_000 // scale, 512),
        "K=80 d=2048": (skewed, 50_000 // scale, 2048),
        "K=10 d=512, half": (balanced, 50_000 // scale, 512),
        "K=10 d=512, double": (balanced, 200_000 // scale, 512),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (build, n, d) in cases.items():
            features, targets, tags = build(n, d, rng)
            path = Path(folder) / "case.safetensors"
            save_file({"features": features, "targets": targets, "weight": tags}, path)
            command = [arguments.tagwise, "analyze", "--json", str(path)]
            ours, output = timed(lambda: subprocess.run(command, check=True, capture_output=True).stdout)
            report = json.loads(output)["files"][0]
            speed = features.nbytes / ours / 1e9
            print(f"\n{name}: N={n}, {report['num_label_sets']} label sets, {features.nbytes / 1e6:.0f} MB")
            print(f"  tagwise     {ours:8.3f} s, {speed:5.2f} GB/s of features = {100 * speed / bandwidth:.0f} % of one read, NC1 by {report['nc1_path']}")
            if "," in name:
                continue
            weight = tags.astype(np.float64)
            for label, run in [("NumPy", vectorised_numpy), ("PyTorch", vectorised_torch)]:
                seconds, result = timed(lambda: run(features, targets, weight), 2)
                gap = abs(result["pooled"] / report["nc1_pooled"]["value"] - 1)
                print(f"  {label:11s} {seconds:8.3f} s, {seconds / ours:6.1f} times tagwise, NC1 differs by {gap:.0e}")
            outer = one_outer_product_per_sample(features, targets)
            print(f"  per sample  {outer:8.1f} s, {outer / ours:6.1f} times tagwise (scaled from a part)")


if __name__ == "__main__":
    main()
