"""Time to fit a head on sparse text features: tagwise against scikit-learn's one-versus-rest logistic regression.

Needs: pip install numpy scipy scikit-learn safetensors
Run:   cargo build --release -p tagwise-cli && python bench/fit.py MULAN_FOLDER [--set bibtex] [--runs 3]

Both see the same standard split, features scaled to unit mean square, both cores (scikit-learn also
with one process, its default). tagwise is a whole process from the .arff file to the saved head;
scikit-learn starts from a CSR matrix in memory, in single and in double precision; with a dense matrix it is timed
on --dense-labels labels and scaled up. "same objective"
fixes tagwise's weight decay at 1/(2·C·N), so that both minimise one function; its value is printed
for both. "chosen" lets both take the regularisation of least loss on a fifth of the samples.
Every label with p >= 0.5 is predicted.
"""

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from heads import FILES, read_set, score
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier

PROGRAM = Path(__file__).resolve().parent.parent / "target/release/tagwise"


def log_loss(logits, y):
    """The binary cross-entropy summed over labels, mean over samples."""
    return (np.logaddexp(0, logits) - y * logits).sum() / len(y)


class Timed:
    def __init__(self, x_test, y_test):
        self.x_test, self.y_test = x_test, y_test
        self.rows = {}

    def add(self, name, seconds, weight, bias, objective):
        logits = np.asarray(self.x_test @ weight.T) + bias
        quality = {**score(self.y_test, (logits >= 0).astype(int)), "log_loss": log_loss(logits, self.y_test)}
        row = self.rows.setdefault(name, {"seconds": [], "objective": objective, **quality})
        row["seconds"].append(seconds)


def fit_tagwise(files, scale, extra):
    with tempfile.TemporaryDirectory() as folder:
        head = f"{folder}/head.safetensors"
        command = [PROGRAM, "fit", files["train"], "--labels", files["xml"], "--loss", "bce", "--quiet", "--json"]
        start = time.perf_counter()
        found = subprocess.run([*command, *extra, "--out", head], check=True, stdout=subprocess.PIPE)
        seconds = time.perf_counter() - start
        tensors = load_file(head)
    return seconds, tensors["weight"] * scale, tensors["bias"], json.loads(found.stdout)["objective"]


def fit_scikit(x, y, **settings):
    jobs = settings.pop("n_jobs")
    start = time.perf_counter()
    model = OneVsRestClassifier(LogisticRegression(max_iter=1000, **settings), n_jobs=jobs).fit(x, y)
    seconds = time.perf_counter() - start
    weight = np.vstack([e.coef_.ravel() for e in model.estimators_])
    bias = np.array([e.intercept_[0] for e in model.estimators_])
    return seconds, weight, bias


def chosen_scikit(x, y, **settings):
    """C of least loss on a fifth of the samples, then a fit to all."""
    start = time.perf_counter()
    fitting, held_out = train_test_split(np.arange(len(y)), test_size=0.2, random_state=0)
    usable = y[fitting].any(0)
    losses = {}
    for c in [0.0003, 0.001, 0.003, 0.01, 0.03]:
        _, weight, bias = fit_scikit(x[fitting], y[fitting][:, usable], C=c, **settings)
        losses[c] = log_loss(np.asarray(x[held_out] @ weight.T) + bias, y[held_out][:, usable])
    best = min(losses, key=losses.get)
    _, weight, bias = fit_scikit(x, y, C=best, **settings)
    return time.perf_counter() - start, weight, bias, best


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--set", default="bibtex")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dense-labels", type=int, default=16)
    options = parser.parse_args()
    stem = FILES.get(options.set, options.set)
    folder = options.folder / options.set
    suffix = "-sparse" if (folder / f"{stem}-train-sparse.arff").exists() else ""
    files = {"train": folder / f"{stem}-train{suffix}.arff", "xml": folder / f"{stem}.xml"}
    (x, y), (x_test, y_test) = read_set(options.folder, options.set)
    scale = np.sqrt((x.astype(float) ** 2).mean(0))
    scale[scale == 0] = 1
    x, x_test = (sparse.csr_matrix(part / scale) for part in (x, x_test))
    usable = y.any(0)
    assert usable.all() and not y.all(0).any(), "choose a set whose labels all vary"
    timed = Timed(x_test, y_test)

    def objective(weight, bias, c):
        return log_loss(np.asarray(x @ weight.T) + bias, y) + (weight**2).sum() / (2 * c * len(y))

    few = options.dense_labels
    dense_seconds, *_ = fit_scikit(x.toarray(), y[:, :few], n_jobs=1) if few else (float("nan"),)
    for run in range(options.runs):
        time.sleep(1)  # until the processes of the run before are at rest
        for name, extra in [
            ("tagwise fit, same objective", ["--weight-decay", str(1 / (2 * len(y)))]),
            ("tagwise fit, same objective, tolerance 5e-4", ["--weight-decay", str(1 / (2 * len(y))), "--tolerance", "5e-4"]),
            ("tagwise fit, same objective, tolerance 1e-3", ["--weight-decay", str(1 / (2 * len(y))), "--tolerance", "1e-3"]),
            ("tagwise fit, chosen", []),
        ]:
            timed.add(name, *fit_tagwise(files, scale, extra))
        for name, data, settings in [
            ("OneVsRest(LogisticRegression), one process", x, {"n_jobs": 1}),
            ("OneVsRest(LogisticRegression), two processes", x, {"n_jobs": 2}),
            ("the same, float32", x.astype(np.float32), {"n_jobs": 2}),
            ("OneVsRest(LogisticRegression(solver=liblinear)), two processes", x,
             {"n_jobs": 2, "solver": "liblinear"}),
        ]:
            seconds, weight, bias = fit_scikit(data, y, **settings)
            timed.add(name, seconds, weight, bias, objective(weight, bias, 1.0))
        if run == 0:
            seconds, weight, bias, c = chosen_scikit(x, y, n_jobs=2)
            timed.add(f"OneVsRest(LogisticRegression), C chosen ({c}), two processes", seconds, weight, bias,
                      objective(weight, bias, c))
    print(f"dense, one process, {few} labels scaled up: {dense_seconds * y.shape[1] / max(few, 1):.1f} s\n")
    print("| fit | seconds | objective | log loss | exact match | F1 micro | F1 macro | Hamming loss |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in timed.rows.items():
        cells = [row["objective"], row["log_loss"], row["subset_accuracy"], row["f1_micro"], row["f1_macro"]]
        cells = " | ".join(f"{value:.4f}" for value in cells)
        print(f"| {name} | {np.median(row['seconds']):.3f} | {cells} | {row['hamming_loss']:.5f} |")


if __name__ == "__main__":
    main()
