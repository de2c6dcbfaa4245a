"""Likely label errors of `tagwise analyze` beside cleanlab's, on the same features with flipped labels.

Needs: pip install numpy scikit-learn safetensors cleanlab, and tagwise on the path (or --tagwise).
Run:   python bench/label_errors.py FEATURES... [--rates 0,0.01,0.05] [--seeds 3]

FEATURES are snapshots with `features` and `targets`, such as features-train.safetensors in the folder
of a run. A share of the samples gets the label set of another sample that has a different one. Then

- tagwise fits a head to the flipped labels (`tagwise fit --loss bce`) and lists likely errors
  (`tagwise analyze`), with their probability and the estimated share of wrong labels;
- cleanlab gets probabilities of the same labels out of sample, from logistic regression one versus
  rest in five folds, and lists issues by multilabel_classification.filter.find_label_issues.

Printed as Markdown: how many were listed, how many of them were flipped (precision), how many of the
flipped were listed (recall); for tagwise also the sum of the probabilities listed, which is the number
of errors to expect among them, and the estimated share.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

try:
    import numpy as np
    from cleanlab.multilabel_classification.filter import find_label_issues
    from safetensors.numpy import load_file, save_file
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler
except ImportError as error:
    sys.exit(f"{error}; pip install numpy scikit-learn safetensors cleanlab")


def flip(targets, rate, rng):
    """Targets with the label sets of some samples replaced, and which."""
    flipped = targets.copy()
    wrong = rng.choice(len(targets), int(round(rate * len(targets))), replace=False)
    for row in wrong:
        other = row
        while (targets[other] == targets[row]).all():
            other = rng.integers(len(targets))
        flipped[row] = targets[other]
    return flipped, set(wrong.tolist())


def ours(tagwise, features, targets):
    with tempfile.TemporaryDirectory() as folder:
        samples, head, both = (Path(folder) / f"{name}.safetensors" for name in ("samples", "head", "both"))
        save_file({"features": features, "targets": targets}, samples)
        run = lambda *command: subprocess.run([tagwise, *map(str, command)], check=True, capture_output=True).stdout
        run("fit", samples, "--loss", "bce", "--out", head, "--quiet")
        fitted = load_file(head)
        save_file({"features": features, "targets": targets, "weight": fitted["weight"], "bias": fitted["bias"]}, both)
        out = run("analyze", both, "--worst", len(targets), "--intervals=never", "--json")
    errors = json.loads(out)["files"][0]["label_errors"]
    return {error["sample"]: error["probability"] for error in errors["samples"]}, errors["rate"]


def theirs(features, targets, seed):
    probabilities = np.zeros(targets.shape)
    for fitting, held_out in KFold(5, shuffle=True, random_state=seed).split(features):
        scaler = StandardScaler().fit(features[fitting])
        for label in range(targets.shape[1]):
            y = targets[fitting, label]
            if y.min() == y.max():
                probabilities[held_out, label] = y[0]
                continue
            model = LogisticRegression(max_iter=300).fit(scaler.transform(features[fitting]), y)
            probabilities[held_out, label] = model.predict_proba(scaler.transform(features[held_out]))[:, 1]
    labels = [np.flatnonzero(row).tolist() for row in targets]
    issues = find_label_issues(labels=labels, pred_probs=probabilities, return_indices_ranked_by="self_confidence")
    return set(np.asarray(issues).tolist())


def share(hits, total):
    return f"{hits / total:.3f}" if total else "–"


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+")
    parser.add_argument("--rates", type=lambda text: [float(x) for x in text.split(",")], default=[0, 0.01, 0.05])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tagwise", default="tagwise")
    options = parser.parse_args()
    print("| features | flipped | tagwise: listed | precision | recall | to expect | estimated share | cleanlab: listed | precision | recall |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in options.features:
        file = load_file(path)
        features, targets = file["features"].astype(np.float32), file["targets"].astype(np.uint8)
        for rate in options.rates:
            sums = np.zeros(7)
            for seed in range(options.seeds):
                noisy, wrong = flip(targets, rate, np.random.default_rng(seed))
                listed, estimated = ours(options.tagwise, features, noisy)
                other = theirs(features, noisy, seed)
                sums += [len(wrong), len(listed), len(wrong & listed.keys()), sum(listed.values()), estimated,
                         len(other), len(wrong & other)]
            flipped, own, hits, expected, estimated, other, other_hits = sums
            print(f"| {path.parent.name}/{path.stem} | {rate:.0%} | {own:.0f} | {share(hits, own)} | {share(hits, flipped)} | "
                  f"{expected:.0f} | {estimated / options.seeds:.2%} | {other:.0f} | {share(other_hits, other)} | {share(other_hits, flipped)} |",
                  flush=True)


if __name__ == "__main__":
    main()
