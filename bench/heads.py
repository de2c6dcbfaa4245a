"""Heads x decoders on Mulan's data sets with their standard splits, against scikit-learn.

Needs: pip install numpy scipy scikit-learn safetensors, and cargo on the path.
Run:   python bench/heads.py MULAN_FOLDER [--sets emotions,scene,...] [--seeds 3] > table.md

MULAN_FOLDER holds one folder for each data set with NAME-train.arff, NAME-test.arff, NAME.xml
(https://github.com/tsoumakas/mulan, data/multi-label). Nominal attributes with two values become
one 0/1 column, with more values one column for each; with more than 100 values (genbase's protein
names) they identify samples and are left out.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, hamming_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.preprocessing import StandardScaler

FILES = {"tmc2007": "tmc2007-500", "corel5k": "Corel5k"}
MEASURES = ["subset_accuracy", "f1_samples", "f1_micro", "f1_macro", "hamming_loss"]


def unquote(name):
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        name = name[1:-1]
    return name.replace("\\'", "'").replace('\\"', '"')


def read_arff(path):
    """Attribute names, their nominal values (None for numbers) and the rows as lists of (index, text)."""
    names, nominal, rows, in_data = [], [], [], False
    for line in open(path, encoding="utf-8", errors="replace"):
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        if in_data:
            if line.startswith("{"):
                entries = [e.strip().split(None, 1) for e in line[1:-1].split(",") if e.strip()]
                rows.append([(int(i), v) for i, v in entries])
            else:
                rows.append(list(enumerate(v.strip() for v in line.split(","))))
        elif line.lower().startswith("@attribute"):
            match = re.match(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S+)\s+(.*)", line, re.I)
            names.append(unquote(match[1]))
            kind = match[2].strip()
            nominal.append([unquote(v) for v in kind[1:-1].split(",")] if kind.startswith("{") else None)
        elif line.lower().startswith("@data"):
            in_data = True
    return names, nominal, rows


def matrices(path, labels):
    names, nominal, rows = read_arff(path)
    positions = {name: i for i, name in enumerate(names)}
    label_columns = {positions[label]: k for k, label in enumerate(labels)}
    offsets, width = {}, 0
    for i, values in enumerate(nominal):
        if i not in label_columns and (values is None or len(values) <= 100):
            offsets[i] = width
            width += 1 if values is None or len(values) <= 2 else len(values)
    x = np.zeros((len(rows), width), dtype=np.float32)
    y = np.zeros((len(rows), len(labels)), dtype=np.uint8)
    for r, row in enumerate(rows):
        for i, text in row:
            value = unquote(text)
            if i in label_columns:
                y[r, label_columns[i]] = value == "1"
            elif i not in offsets:
                continue
            elif nominal[i] is None:
                x[r, offsets[i]] = float(value)
            elif len(nominal[i]) <= 2:
                x[r, offsets[i]] = nominal[i].index(value)
            else:
                x[r, offsets[i] + nominal[i].index(value)] = 1
    return x, y


def read_set(folder, name):
    stem = FILES.get(name, name)
    root = xml.etree.ElementTree.parse(folder / name / f"{stem}.xml").getroot()
    labels = [element.attrib["name"].replace("\\'", "'") for element in root.iter() if "name" in element.attrib]
    suffix = "-sparse" if (folder / name / f"{stem}-train-sparse.arff").exists() else ""
    return [matrices(folder / name / f"{stem}-{part}{suffix}.arff", labels) for part in ("train", "test")]


def score(truth, predicted):
    return {
        "subset_accuracy": accuracy_score(truth, predicted),
        "f1_samples": f1_score(truth, predicted, average="samples", zero_division=0),
        "f1_micro": f1_score(truth, predicted, average="micro", zero_division=0),
        "f1_macro": f1_score(truth, predicted, average="macro", zero_division=0),
        "hamming_loss": hamming_loss(truth, predicted),
    }


def baselines(train, test, with_chain):
    (x, y), (x_test, y_test) = train, test
    scaler = StandardScaler(with_mean=(x != 0).mean() > 0.2)
    x, x_test = scaler.fit_transform(x), scaler.transform(x_test)
    usable = (y.sum(0) > 0) & (y.sum(0) < len(y))  # logistic regression needs both classes
    models = [("OneVsRest(LogisticRegression)", OneVsRestClassifier(LogisticRegression(max_iter=1000)))]
    if with_chain:
        models.append(("ClassifierChain(LogisticRegression)", ClassifierChain(LogisticRegression(max_iter=1000))))
    for name, model in models:
        start = time.perf_counter()
        model.fit(x, y[:, usable])
        seconds = time.perf_counter() - start
        predicted = np.tile(y[0] * 0, (len(x_test), 1))
        predicted[:, usable] = model.predict(x_test)
        yield name, score(y_test, predicted), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default="emotions,scene,yeast,genbase,tmc2007,bibtex,corel5k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--chain-up-to", type=int, default=60, help="largest K for the classifier chain")
    options = parser.parse_args()
    for name in options.sets.split(","):
        train, test = read_set(options.folder, name)
        y = train[1]
        print(f"\n### {name}\n")
        print(f"{len(y)} + {len(test[1])} samples, d = {train[0].shape[1]}, K = {y.shape[1]}, "
              f"{y.sum(1).mean():.2f} labels a sample, {len(np.unique(y, axis=0))} label sets\n")
        print("| head | decoder | exact match | F1 samples | F1 micro | F1 macro | Hamming loss | fit, s |")
        print("|---|---|---|---|---|---|---|---|")
        for model, found, seconds in baselines(train, test, y.shape[1] <= options.chain_up_to):
            cells = " | ".join(f"{found[m]:.3f}" for m in MEASURES)
            print(f"| scikit-learn | {model} | {cells} | {seconds:.1f} |", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            paths = [f"{folder}/train.safetensors", f"{folder}/test.safetensors"]
            for path, (x, targets) in zip(paths, (train, test)):
                save_file({"features": x, "targets": targets}, path)
            command = ["cargo", "run", "--release", "-q", "-p", "tagwise", "--example", "heads", "--"]
            output = subprocess.run(
                [*command, *paths, str(options.seeds)], check=True, stdout=subprocess.PIPE, stderr=sys.stderr
            )
        groups = {}
        for row in json.loads(output.stdout):
            groups.setdefault((row["head"], row["decoder"]), []).append(row)
        for (head, decoder), rows in groups.items():
            cells = []
            for measure in MEASURES:
                values = [row["evaluation"][measure] for row in rows]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
            seconds = np.mean([row["fit_seconds"] for row in rows])
            print(f"| {head} | {decoder} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)


main()
