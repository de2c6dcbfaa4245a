"""Time to a 1e-6 relative gap: `tagwise ufm` against SciPy and PyTorch, side by side in one run.

Needs: pip install numpy scipy torch, and `tagwise` on the path or named with --tagwise.
Run:   python bench/ufm.py [--yeast yeast.arff yeast.xml] [--repeats 3] [--limit 120] [--json out.json]

The unconstrained feature model is solved for K = 10 classes and N = 4,000 samples (310 of each
single label, 20 of each pair) and for the labels of Mulan's yeast (N = 2,417, K = 14, 198 distinct
sets), with λ_W = 5e-3, λ_H = 5e-3·K/N, λ_b = 1e-3, d = K. Everybody minimises the same function in
64-bit numbers on the same threads:

- tagwise: the solver on the reduced problem with its certificate (seconds inside the solver, and of
  the whole process, which also reads the file); and the closed form, which `tagwise ufm` takes by
  itself when the data are balanced within multiplicities, as those with K = 10 are;
- SciPy L-BFGS-B on the full problem, one feature per sample, and on the reduced one, one per label set;
- PyTorch SGD with momentum 0.9 and Adam on the full problem, whole batches, the best of several
  learning rates chosen beforehand by the value after 300 steps (that search is not timed).

A run ends when its value is within 1e-6 of the optimum, which tagwise certifies to 1e-9: only
tagwise knows by itself when to stop. Times are medians over the repeats, methods interleaved.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from itertools import combinations
from pathlib import Path

import numpy as np
import scipy.optimize
import torch

LAMBDA_W, LAMBDA_B, GAP = 5e-3, 1e-3, 1e-6


class Problem:
    """The objective for weighted label sets: counts of 1 make it the full problem."""

    def __init__(self, targets, counts, num_samples):
        self.targets = targets.astype(np.float64)  # [L, K]
        self.num_classes = self.dim = targets.shape[1]
        self.multiplicities = self.targets.sum(1)
        self.counts = counts.astype(np.float64)
        self.num_samples = num_samples
        self.lambda_h = 5e-3 * self.num_classes / num_samples

    def split(self, x):
        k, d = self.num_classes, self.dim
        return x[: k * d].reshape(k, d), x[k * d : -k].reshape(-1, d), x[-k:]

    def start(self, seed):
        rng = np.random.default_rng(seed)
        k, d = self.num_classes, self.dim
        return np.concatenate(
            [0.1 * rng.standard_normal(k * d + len(self.targets) * d), np.zeros(k)]
        )

    def value_and_gradient(self, x):
        weight, features, bias = self.split(x)
        logits = features @ weight.T + bias
        logits -= logits.max(1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(1, keepdims=True)
        share = self.counts / self.num_samples
        losses = self.multiplicities * np.log(sums[:, 0]) - (self.targets * logits).sum(1)
        value = (share @ losses + LAMBDA_W * (weight**2).sum() + LAMBDA_B * (bias**2).sum()
                 + self.lambda_h * (self.counts @ (features**2).sum(1)))  # fmt: skip
        pull = (self.multiplicities[:, None] * exponentials / sums - self.targets) * share[:, None]
        to_weight = pull.T @ features + 2 * LAMBDA_W * weight
        to_features = pull @ weight + 2 * self.lambda_h * self.counts[:, None] * features
        to_bias = pull.sum(0) + 2 * LAMBDA_B * bias
        return value, np.concatenate([to_weight.ravel(), to_features.ravel(), to_bias])


class Reached(Exception):
    pass


def scipy_seconds(problem, goal, limit, seed):
    """Seconds until a value of at most `goal`, or None."""
    begin = time.perf_counter()

    def objective(x):
        value, gradient = problem.value_and_gradient(x)
        if value <= goal or time.perf_counter() - begin > limit:
            raise Reached(value)
        return value, gradient

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0, "maxcor": 10}
    x = problem.start(seed)
    try:
        while True:  # a failed line search ends a run early: go on from there
            result = scipy.optimize.minimize(
                objective, x, jac=True, method="L-BFGS-B", options=options
            )
            x = result.x
    except Reached as reached:
        if reached.args[0] <= goal:
            return time.perf_counter() - begin
    return None


def torch_run(problem, goal, limit, seed, make, steps=10**9):
    """(seconds until `goal` or None, last value)"""
    start = problem.start(seed)
    weight, features, bias = (torch.tensor(part, requires_grad=True) for part in problem.split(start))
    targets = torch.tensor(problem.targets)
    multiplicities = torch.tensor(problem.multiplicities)
    optimizer = make([weight, features, bias])
    begin = time.perf_counter()
    value = float("inf")
    for _ in range(steps):
        optimizer.zero_grad()
        logits = torch.nn.functional.linear(features, weight, bias)
        losses = multiplicities * torch.logsumexp(logits, 1) - (targets * logits).sum(1)
        loss = losses.mean() + LAMBDA_W * (weight**2).sum() + LAMBDA_B * (bias**2).sum()
        loss = loss + problem.lambda_h * (features**2).sum()
        value = loss.item()
        seconds = time.perf_counter() - begin
        if value <= goal:
            return seconds, value
        if not np.isfinite(value) or seconds > limit:
            break
        loss.backward()
        optimizer.step()
    return None, value


def best_rate(problem, rates, make, limit):
    """The learning rate with the lowest value after 300 steps."""
    values = {}
    for rate in rates:
        _, value = torch_run(problem, -np.inf, limit, 0, lambda p: make(p, rate), steps=300)
        values[rate] = value if np.isfinite(value) else np.inf
    return min(values, key=values.get)


def tagwise_answer(program, arguments, gap, method="solver"):
    command = [program, "ufm", *arguments, "--method", method, "--gap", str(gap), "--json", "-q"]
    begin = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True).stdout
    return time.perf_counter() - begin, json.loads(output)


def yeast_targets(arff, labels):
    """The label columns of a dense Mulan ARFF file, [N, K]."""
    wanted = [element.get("name") for element in xml.etree.ElementTree.parse(labels).iter()
              if element.tag.endswith("label")]  # fmt: skip
    names, rows, in_data = [], [], False
    for line in Path(arff).read_text().splitlines():
        line = line.strip()
        if in_data and line and not line.startswith("%"):
            cells = line.split(",")
            rows.append([int(cells[names.index(name)]) for name in wanted])
        elif re.match(r"@attribute\s", line, re.I):
            names.append(line.split()[1].strip("'\""))
        elif line.lower().startswith("@data"):
            in_data = True
    return np.array(rows)


def synthetic_targets():
    rows = []
    for k in range(10):
        rows += [[int(j == k) for j in range(10)]] * 310
    for a, b in combinations(range(10), 2):
        rows += [[int(j in (a, b)) for j in range(10)]] * 20
    return np.array(rows)


def measure(name, targets, program, repeats, limit):
    num_samples = len(targets)
    sets, counts = np.unique(targets, axis=0, return_counts=True)
    full = Problem(targets, np.ones(num_samples), num_samples)
    reduced = Problem(sets, counts, num_samples)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "targets.npy"
        np.save(path, targets.astype(np.float64))
        arguments = ["--targets", str(path)]
        _, reference = tagwise_answer(program, arguments, 1e-9)
        assert reference["verdict"] == "certified"
        goal = reference["value"] * (1 + GAP)

        sgd = lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=0.9)
        adam = lambda p, rate: torch.optim.Adam(p, lr=rate)
        sgd_rate = best_rate(full, [0.1, 0.3, 1, 3, 10, 30, 100], sgd, limit)
        adam_rate = best_rate(full, [0.003, 0.01, 0.03, 0.1, 0.3], adam, limit)
        times = {}

        def add(method, seconds):
            times.setdefault(method, []).append(seconds)
            print(f"{name}: {method}: {seconds}", file=sys.stderr, flush=True)

        for seed in range(repeats):
            process, answer = tagwise_answer(program, arguments, GAP)
            add("tagwise, the solve", answer["seconds"])
            add("tagwise, the process", process)
            _, answer = tagwise_answer(program, arguments, GAP, "auto")
            if answer["method"] == "closed-form":
                add("tagwise, closed form", answer["seconds"])
            add("SciPy L-BFGS-B, reduced", scipy_seconds(reduced, goal, limit, seed))
            add("SciPy L-BFGS-B, full", scipy_seconds(full, goal, limit, seed))
            seconds, _ = torch_run(full, goal, limit, seed, lambda p: adam(p, adam_rate))
            add(f"PyTorch Adam, full, lr {adam_rate}", seconds)
            seconds, _ = torch_run(full, goal, limit, seed, lambda p: sgd(p, sgd_rate))
            add(f"PyTorch SGD, full, lr {sgd_rate}", seconds)
    # A run that did not arrive counts as the limit, which makes its median a lower bound.
    medians = {method: statistics.median(limit if s is None else s for s in all_)
               for method, all_ in times.items()}  # fmt: skip
    solve = medians["tagwise, the solve"]
    rows = [
        {
            "method": method,
            "seconds": seconds,
            "ratio": seconds / solve,
            "reached": all(s is not None for s in times[method]),
            "all_seconds": times[method],
        }
        for method, seconds in medians.items()
    ]
    return {
        "problem": name,
        "num_samples": num_samples,
        "num_label_sets": len(sets),
        "num_classes": targets.shape[1],
        "value": reference["value"],
        "rows": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tagwise", default="tagwise")
    parser.add_argument("--yeast", nargs=2, metavar=("ARFF", "XML"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120, help="seconds for one run")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    problems = [("K = 10, N = 4,000", synthetic_targets())]
    if arguments.yeast:
        problems.append(("yeast", yeast_targets(*arguments.yeast)))
    results = [
        measure(name, targets, arguments.tagwise, arguments.repeats, arguments.limit)
        for name, targets in problems
    ]
    about = {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "scipy": scipy.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "repeats": arguments.repeats,
    }
    for result in results:
        print(f"\n{result['problem']}: {result['num_samples']} samples, "
              f"{result['num_label_sets']} label sets, value {result['value']:.9f}\n")  # fmt: skip
        print("| method | seconds | times the solve of tagwise |\n|---|---|---|")
        for row in result["rows"]:
            sign = "" if row["reached"] else "> "
            print(f"| {row['method']} | {sign}{row['seconds']:.4g} | {sign}{row['ratio']:.3g} |")
    print(f"\n{about}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
