#!/usr/bin/env python3
"""Times the Python package: `tagwise.analyze` on a NumPy array beside the command on the same numbers in a file, and
beside a vectorised torch implementation of the same metrics.

Everything runs in turn in one process, round after round, and ratios are those of the fastest rounds. Run it with the
wheel of this checkout installed:

    python bench/python.py [--samples 100000] [--dim 512] [--rounds 5]

The torch implementation follows the accumulators of github.com/rhubarbwu/neural-collapse: class means in one pass,
the within-class covariance in a second, then a pseudo-inverse; it measures NC1, NC2 and NC3 of single labels alone
and in f32, where `tagwise` measures every multiplicity in f64 and makes the page.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import tagwise
from tagwise.__main__ import find_command

NUM_CLASSES = 10


def samples(num_samples, dim, seed=0):
    """Nearly collapsed features in f32 of label sets of one and two labels."""
    rng = np.random.default_rng(seed)
    means = tagwise.simplex_etf(NUM_CLASSES, dim).astype(np.float32)
    targets = np.zeros((num_samples, NUM_CLASSES), dtype=np.uint8)
    rows = np.arange(num_samples)
    targets[rows, rng.integers(0, NUM_CLASSES, num_samples)] = 1
    pairs = rows[rng.random(num_samples) < 0.3]
    targets[pairs, rng.integers(0, NUM_CLASSES, len(pairs))] = 1
    features = targets @ means + 0.05 * rng.standard_normal((num_samples, dim), dtype=np.float32)
    return features, targets, means


def with_torch(features, targets, weight):
    """NC1, NC2 and NC3 of the samples with one label, vectorised."""
    import torch

    single = torch.from_numpy(targets).sum(dim=1) == 1
    h = torch.from_numpy(features)[single]
    labels = torch.from_numpy(targets)[single].argmax(dim=1)
    counts = torch.bincount(labels, minlength=NUM_CLASSES).unsqueeze(1)
    means = torch.zeros(NUM_CLASSES, h.shape[1]).index_add_(0, labels, h) / counts
    residuals = h - means[labels]
    within = residuals.T @ residuals / len(h)
    centred = means - h.mean(dim=0)
    between = centred.T @ centred / NUM_CLASSES
    nc1 = torch.trace(within @ torch.linalg.pinv(between, hermitian=True)) / NUM_CLASSES
    ideal = (torch.eye(NUM_CLASSES) - 1 / NUM_CLASSES) / (NUM_CLASSES - 1) ** 0.5

    def distance(gram):
        return float(torch.linalg.norm(gram / torch.linalg.norm(gram) - ideal))

    w = torch.from_numpy(weight)
    return float(nc1), distance(centred @ centred.T), distance(w @ centred.T)


def timed(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    features, targets, weight = samples(arguments.samples, arguments.dim)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, array in (("features", features), ("targets", targets), ("weight", weight)):
            np.save(folder / f"{name}.npy", array)
        page = folder / "page.html"
        plain = [find_command(), "analyze", str(folder), "--json"]
        command = [*plain, "--report", str(page)]

        def by_package():
            report = tagwise.analyze(features, targets, weight)
            report.report(page)
            return report.to_json()

        ways = {
            "tagwise.analyze, with its page": by_package,
            "tagwise analyze, with its page": lambda: subprocess.run(command, check=True, capture_output=True),
            "tagwise.analyze alone": lambda: tagwise.analyze(features, targets, weight),
            "tagwise analyze alone": lambda: subprocess.run(plain, check=True, capture_output=True),
        }
        try:
            import torch

            torch.set_num_threads(tagwise.get_num_threads())
            ways["torch, single labels, f32"] = lambda: with_torch(features, targets, weight)
            theirs, ours = with_torch(features, targets, weight), tagwise.analyze(features, targets, weight)
            print("torch  ", *(f"{value:.6f}" for value in theirs))
            print("tagwise", *(f"{value:.6f}" for value in (ours.nc1[1], ours.nc2.class_means, ours.nc3)))
        except ImportError:
            pass
        seconds = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, call in ways.items():
                seconds[name].append(timed(call))
    fastest = {name: min(times) for name, times in seconds.items()}
    print(f"{arguments.samples} samples, d = {arguments.dim}, {tagwise.get_num_threads()} threads")
    for name, times in seconds.items():
        ratio = fastest["tagwise.analyze alone"] / fastest[name]
        print(f"{name:<32} {fastest[name]:8.3f} s (median {np.median(times):.3f}); tagwise.analyze alone takes {ratio:.2f} of it")
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for kind in ("alone", "with its page"):
        separator = " " if kind == "alone" else ", "
        package, program = (f"tagwise{mark}analyze{separator}{kind}" for mark in (".", " "))
        ratios = {of: round(times[package] / times[program], 3) for of, times in (("fastest", fastest), ("median", medians))}
        print(json.dumps({f"package of command, {kind}": ratios}))


if __name__ == "__main__":
    main()
