"""Collapse metrics of the same arrays: tagwise, vectorised NumPy and PyTorch, and one outer
product per sample, side by side in one run.

Needs: pip install numpy torch safetensors. Build first: cargo build --release -p tagwise-cli.
Run: python bench/collapse.py [--tagwise target/release/tagwise] [--quick] [--json FILE]

tagwise is timed as a whole process: start, mapped file (in the page cache), label sets, every
metric, NC4, residuals, JSON. The Python versions start from arrays in memory and compute NC1 per
multiplicity and pooled, NC2, NC3 and NC_m only. Two vectorised versions: `pinv` writes the
definitions down (thin SVD below d label sets, pseudo-inverse above), `tuned` uses the cheapest
algebra that we know (one sort, no copies by mask, eigenvalues of the small Gram matrix or a linear
solve, products with K tag vectors instead of all syntheses). Rounds are interleaved, so that other
work on the machine meets all of them, and medians are reported. One outer product per sample, as in
the paper's public utility functions, is Σ_W alone (no Σ_B, no pseudo-inverse), timed on a part of the
samples and scaled up, which is exact for a loop.
"""

import argparse
import json
import os
import statistics
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
    """K = 80, Zipf class frequencies, one to five labels, mostly few: like natural images."""
    share = 1 / np.arange(1, 81)
    share /= share.sum()
    sizes = rng.choice(np.arange(1, 6), n, p=np.array([30, 28, 20, 13, 9]) / 100)
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


def nc1_by_pinv(centred, scatter):
    if len(centred) <= centred.shape[1]:
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        kept = singular**2 > 1e-13 * singular[0] ** 2
        directions = directions[kept] / singular[kept, None]
        return ((directions @ scatter) * directions).sum()
    return (scatter * np.linalg.pinv(centred.T @ centred, rcond=1e-13, hermitian=True)).sum()


def nc1_tuned(centred, scatter):
    if not scatter.any():
        return 0.0
    if len(centred) <= centred.shape[1]:
        eigenvalues, vectors = np.linalg.eigh(centred @ centred.T)
        kept = eigenvalues > 1e-13 * eigenvalues[-1]
        directions = (vectors[:, kept] / eigenvalues[kept]).T @ centred
        return ((directions @ scatter) * directions).sum()
    return np.trace(np.linalg.solve(centred.T @ centred, scatter))


def nc_m_by_definition(h, distinct, tags):
    sums = distinct @ tags
    h = h / np.linalg.norm(h, axis=1, keepdims=True)
    sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    angles = np.arccos(np.clip(h @ sums.T, -1, 1))
    return np.diag(angles).mean() / angles.mean()


def nc_m_tuned(h, distinct, tags):
    norms = np.sqrt(np.einsum("ij,ij->i", distinct @ (tags @ tags.T), distinct))
    cosines = distinct @ (tags @ h.T)
    cosines /= norms[:, None]
    cosines /= np.linalg.norm(h, axis=1)
    np.clip(cosines, -1, 1, out=cosines)
    np.arccos(cosines, out=cosines)
    return np.diag(cosines).mean() / cosines.mean()


def metrics(distinct, counts, means, scatters, weight, nc1, nc_m):
    """What remains once means and scatters are known."""
    size = distinct.sum(1)
    result = {}
    for name, chosen in [*((int(m), size == m) for m in np.unique(size)), ("pooled", size > 0)]:
        h, n = means[chosen], counts[chosen]
        centred = (h - (n / n.sum()) @ h) / np.sqrt(len(h))
        scatter = sum(scatters.values()) if name == "pooled" else scatters[name]
        result[name] = nc1(centred, scatter) / n.sum() / len(h)
    alone = size == 1
    tags = means[alone][np.argsort(distinct[alone].argmax(1))]
    centred = tags - (counts[alone] / counts[alone].sum()) @ tags
    result["nc2"] = [etf_gap(weight @ weight.T), etf_gap(centred @ centred.T)]
    result["nc3"] = etf_gap(weight @ centred.T)
    for m in np.unique(size[size > 1]):
        result[f"nc_{m}"] = nc_m(means[size == m], distinct[size == m].astype(float), tags)
    return result


def numpy_state(features, targets):
    distinct, ids, counts = grouped(targets)
    by_size = np.argsort(distinct.sum(1), kind="stable")
    rank = np.empty_like(by_size)
    rank[by_size] = np.arange(len(by_size))
    distinct, counts, ids = distinct[by_size], counts[by_size], rank[ids]
    x = features[np.argsort(ids, kind="stable")].astype(np.float64)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    means = np.add.reduceat(x, starts) / counts[:, None]
    x -= np.repeat(means, counts, axis=0)
    size, scatters = distinct.sum(1), {}
    for m in np.unique(size):
        first, last = counts[size < m].sum(), counts[size <= m].sum()
        scatters[int(m)] = x[first:last].T @ x[first:last]
    return distinct, counts, means, scatters


def numpy_pinv(features, targets, weight):
    return metrics(*numpy_state(features, targets), weight, nc1_by_pinv, nc_m_by_definition)


def numpy_tuned(features, targets, weight):
    return metrics(*numpy_state(features, targets), weight, nc1_tuned, nc_m_tuned)


def torch_tuned(features, targets, weight):
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
    return metrics(distinct, counts, means.numpy(), scatters, weight, nc1_tuned, nc_m_tuned)


def one_outer_product_per_sample(features, targets, seconds=4.0):
    """Σ_W of all label sets as the paper's public utility functions sum it: sample by sample, a
    column times a row of the float32 residual."""
    distinct, ids, counts = grouped(targets)
    x, ids = torch.from_numpy(features), torch.from_numpy(ids)
    means = torch.zeros(len(distinct), x.shape[1]).index_add_(0, ids, x)
    means /= torch.from_numpy(counts)[:, None]
    mean_of = dict(enumerate(means))
    sigma, done, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds and done < len(x):
        label_set = ids[done].item()
        column = (x[done] - mean_of[label_set]).unsqueeze(1)
        sigma += column @ (x[done] - mean_of[label_set]).unsqueeze(0)
        done += 1
    return (time.perf_counter() - start) * len(x) / done


def seconds(run):
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def interleaved(runs, rounds):
    """Median seconds and last result of each run, in turn."""
    times = {name: [] for name in runs}
    results = {}
    for _ in range(rounds):
        for name, run in runs.items():
            spent, results[name] = seconds(run)
            times[name].append(spent)
    return {name: statistics.median(spent) for name, spent in times.items()}, results


def machine_rates():
    """Read bandwidth and f64 product rate of this machine, all cores."""
    x = torch.ones(1 << 28, dtype=torch.float32)
    a = torch.randn(3000, 3000, dtype=torch.float64)
    times, _ = interleaved({"read": lambda: x.sum(), "product": lambda: a @ a}, 5)
    return x.nbytes / times["read"] / 1e9, 2 * 3000**3 / times["product"] / 1e9


def needed_products(report, n, d):
    """Multiplications and additions that the path needs at the least, in 1e9."""
    sets = report["num_label_sets"]
    if report["nc1_path"] == "projection":
        return 2 * n * d * (sets - 1) / 1e9
    if report["nc1_path"] == "tag_span":
        return 2 * n * d * (report["num_classes"] - 1) / 1e9
    return ((n - sets) + sets) * d * d / 1e9  # residuals, and set means for Σ_B


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tagwise", default="target/release/tagwise")
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    scale = 10 if arguments.quick else 1
    bandwidth, product_rate = machine_rates()
    figures = {"cores": torch.get_num_threads(), "load": os.getloadavg()[0], "read_gb_per_s": bandwidth, "product_gflops": product_rate, "cases": []}
    print(f"cores {torch.get_num_threads()}, load {figures['load']:.1f}, read {bandwidth:.1f} GB/s, f64 product {product_rate:.0f} GFLOP/s")
    rng = np.random.default_rng(0)
    full = ["NumPy, pinv", "NumPy, tuned", "PyTorch, tuned"]
    cases = [
        ("K=10 d=512", balanced, 100_000 // scale, 512, [], full),
        ("K=80 d=2048", skewed, 50_000 // scale, 2048, [], full),
        ("K=80 d=2048, tag span only", skewed, 50_000 // scale, 2048, ["--directions", "tag-span"], []),
        ("K=10 d=512, half of the samples", balanced, 50_000 // scale, 512, [], []),
        ("K=10 d=512, twice the samples", balanced, 200_000 // scale, 512, [], []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, build, n, d, options, baselines in cases:
            features, targets, tags = build(n, d, rng)
            path = Path(folder) / "case.safetensors"
            save_file({"features": features, "targets": targets, "weight": tags}, path)
            command = [arguments.tagwise, "analyze", "--json", *options, str(path)]
            weight = tags.astype(np.float64)
            functions = {"NumPy, pinv": numpy_pinv, "NumPy, tuned": numpy_tuned, "PyTorch, tuned": torch_tuned}
            runs = {"tagwise": lambda: subprocess.run(command, check=True, capture_output=True).stdout}
            for label in baselines:
                runs[label] = lambda function=functions[label]: function(features, targets, weight)
            times, results = interleaved(runs, arguments.rounds)
            report = json.loads(results["tagwise"])["files"][0]
            ours = times["tagwise"]
            speed, needed = features.nbytes / ours / 1e9, needed_products(report, n, d)
            print(f"\n{name}: N={n}, {report['num_label_sets']} label sets, {features.nbytes / 1e6:.0f} MB, NC1 by {report['nc1_path']}")
            print(f"  {'tagwise':15s} {ours:8.3f} s, {speed:5.2f} GB/s of features = {100 * speed / bandwidth:.0f} % of one read", end="")
            print(f", {needed / ours:.0f} GFLOP/s = {100 * needed / ours / product_rate:.0f} % of the product rate")
            case = {"name": name, "n": n, "d": d, "label_sets": report["num_label_sets"], "path": report["nc1_path"], "seconds": times, "gb_per_s": speed, "needed_gflop": needed}
            for label in baselines:
                gap = abs(results[label]["pooled"] / report["nc1_pooled"]["value"] - 1)
                print(f"  {label:15s} {times[label]:8.3f} s, {times[label] / ours:6.1f} times tagwise, NC1 differs by {gap:.0e}")
            if baselines:
                outer = one_outer_product_per_sample(features, targets)
                case["seconds"]["one outer product per sample"] = outer
                print(f"  {'per sample':15s} {outer:8.1f} s, {outer / ours:6.0f} times tagwise (scaled from a part)")
            figures["cases"].append(case)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
