"""Heads x decoders against scikit-learn: Mulan's data sets and features of networks trained here.

Needs: pip install numpy scipy scikit-learn safetensors, and cargo on the path. With
       scikit-multilearn-ng installed its ML-kNN is measured too.
Run:   python bench/heads.py MULAN_FOLDER [--sets emotions,scene,...] [--seeds 3]
       writes docs/heads-tables.md (--tables) and every number as JSON (--out).

MULAN_FOLDER holds one folder for each data set with NAME-train.arff, NAME-test.arff, NAME.xml
(https://github.com/tsoumakas/mulan, data/multi-label; cal500 has one file, a third of which is the test part). Nominal attributes with two values become
one 0/1 column, with more values one column for each; with more than 100 values (genbase's protein
names) they identify samples and are left out. The sets digits-pal, digits-bce and digits-etf are
trained on the digits that come with tagwise, once for each seed, under --runs; mnist-pal and
mnist-bce are the reduced runs of experiments/ and need --mnist FOLDER.

Heads of tagwise and the linear models of scikit-learn have the scaling of least loss on the held-out part.
Heads and decoders run in experiments/heads.rs, baselines here, one after the other, on the same
files. A fifth of the training samples (or the validation set of a network's run) is what both tune
on. Baselines get two processes (n_jobs=2). The one-versus-rest and neighbours "as they come" do
not depend on the seed and are measured once.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
import xml.etree.ElementTree
from collections import Counter
from pathlib import Path

try:
    import numpy as np
    from safetensors.numpy import load_file, save_file
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss
    from sklearn.model_selection import train_test_split
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, StandardScaler
except ImportError as error:
    sys.exit(f"{error}; pip install numpy scipy scikit-learn safetensors")

try:
    from skmultilearn.adapt import MLkNN
except ImportError:
    MLkNN = None

TABLES = ["emotions", "scene", "yeast", "genbase", "tmc2007", "bibtex", "corel5k",
          "flags", "birds", "medical", "enron", "cal500"]
FILES = {"tmc2007": "tmc2007-500", "corel5k": "Corel5k"}
MEASURES = ["subset_accuracy", "f1_samples", "f1_micro", "f1_macro", "hamming_loss"]
TUNED_FOR = {"exact": "subset_accuracy", "f1": "f1_samples"}
SPARSE_BELOW = 0.1
TRAINED = {
    "digits-pal": [],
    "digits-bce": ["--set", "loss.name=binary-cross-entropy"],
    "digits-etf": ["--classifier", "fixed-etf", "--feature-dim", "10"],
    "mnist-pal": ["--config", "experiments/cpu-decoders-mnist-pal-n.toml"],
    "mnist-bce": ["--config", "experiments/cpu-decoders-mnist-bce.toml"],
}
CARGO = ["cargo", "run", "--release", "--locked", "-q", "-p"]


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
    if not (folder / name / f"{stem}-train.arff").exists() and (folder / name / f"{stem}.arff").exists():
        x, y = matrices(folder / name / f"{stem}.arff", labels)
        is_test = np.arange(len(y)) % 3 == 2
        return [(x[~is_test], y[~is_test]), (x[is_test], y[is_test])]
    suffix = "-sparse" if (folder / name / f"{stem}-train-sparse.arff").exists() else ""
    return [matrices(folder / name / f"{stem}-{part}{suffix}.arff", labels) for part in ("train", "test")]


def of_mulan(folder, name, paths):
    """Writes train and test as snapshots."""
    parts = read_set(folder, name)
    for path, (x, targets) in zip(paths, parts):
        save_file({"features": x, "targets": targets}, path)
    return parts


def of_run(options, name, seed):
    """Trains once and returns the snapshots of the run and their matrices."""
    run = options.runs / f"{name}-{seed}"
    if not (run / "summary.json").exists():
        extra = ["--set", f"data.folder={options.mnist}"] if name.startswith("mnist") else []
        program = [options.tagwise] if options.tagwise else [*CARGO, "tagwise-cli", "--"]
        command = [*program, "train", *TRAINED[name], *extra]
        subprocess.run([*command, "--seed", str(seed), "--out", str(run), "--quiet"], check=True)
    paths = [run / f"features-{part}.safetensors" for part in ("train", "test", "validation")]
    files = [load_file(path) for path in paths]
    return paths, [(file["features"], file["targets"]) for file in files]


def score(truth, predicted):
    return {
        "subset_accuracy": accuracy_score(truth, predicted),
        "f1_samples": f1_score(truth, predicted, average="samples", zero_division=0),
        "f1_micro": f1_score(truth, predicted, average="micro", zero_division=0),
        "f1_macro": f1_score(truth, predicted, average="macro", zero_division=0),
        "hamming_loss": hamming_loss(truth, predicted),
    }


class Baselines:
    """scikit-learn's models on features scaled by its own choice, for labels that vary in the training set."""

    def __init__(self, train, test, tuning, seed):
        (x, y), (x_test, self.y_test) = train, test
        self.usable = (y.sum(0) > 0) & (y.sum(0) < len(y))  # logistic regression needs both classes
        self.constant = y[0] * (y.sum(0) == len(y))
        is_sparse = (x != 0).mean() < SPARSE_BELOW
        prepare = sparse.csr_matrix if is_sparse else np.asarray
        # Not uint8: OneVsRestClassifier of scikit-learn 1.9 mixes up more than 255 labels of that type.
        self.y, self.seed = y[:, self.usable].astype(np.int64), seed
        if tuning is None:
            self.fitting, held_out = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed)
            x_tuning, self.y_tuning = prepare(x[held_out]), self.y[held_out]
        else:
            self.fitting = np.arange(len(y))
            x_tuning, self.y_tuning = prepare(tuning[0]), tuning[1][:, self.usable].astype(np.int64)
        # The same choice as tagwise has: the scaling of least loss on the held-out samples.
        scalers = [StandardScaler(with_mean=not is_sparse), FunctionTransformer(), MaxAbsScaler()]
        losses = [self.held_out_loss(scaler, prepare(x), x_tuning) for scaler in scalers]
        scaler = scalers[int(np.argmin(losses))]
        self.x, self.x_test = scaler.fit_transform(prepare(x)), scaler.transform(prepare(x_test))
        self.x_tuning = scaler.transform(x_tuning)

    def held_out_loss(self, scaler, x, x_tuning):
        """The mean loss of one versus rest with C = 1, for labels that vary among the fitting samples."""
        fitting = scaler.fit_transform(x)[self.fitting]
        y = self.y[self.fitting]
        usable = (y.sum(0) > 0) & (y.sum(0) < len(y))
        model = OneVsRestClassifier(LogisticRegression(max_iter=1000), n_jobs=2).fit(fitting, y[:, usable])
        p = np.clip(model.predict_proba(scaler.transform(x_tuning)), 1e-9, 1 - 1e-9)
        truth = self.y_tuning[:, usable]
        return -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()

    def measure(self, predicted):
        whole = np.tile(self.constant, (len(self.y_test), 1))
        whole[:, self.usable] = predicted
        return score(self.y_test, whole)

    def fitted(self, name, model):
        start = time.perf_counter()
        model.fit(self.x, self.y)
        seconds = time.perf_counter() - start
        measures = self.measure(np.asarray(model.predict(self.x_test)))
        for tuned_for in TUNED_FOR:
            yield {"decoder": name, "tuned_for": tuned_for, "measures": measures, "extra": {"fit_seconds": seconds}}

    def tuned(self, name):
        """The C and the common threshold that are best on held-out samples."""

        def one_versus_rest(c):
            return OneVsRestClassifier(LogisticRegression(C=c, max_iter=1000), n_jobs=2)

        start = time.perf_counter()
        best = {tuned_for: (-1.0,) for tuned_for in TUNED_FOR}
        usable = self.y[self.fitting].any(0)
        for c in [0.001, 0.01, 0.1, 1.0]:
            model = one_versus_rest(c).fit(self.x[self.fitting], self.y[self.fitting][:, usable])
            p = np.zeros(self.y_tuning.shape)
            p[:, usable] = model.predict_proba(self.x_tuning)
            for threshold in np.linspace(0.05, 0.95, 37):
                found = score(self.y_tuning, (p >= threshold).astype(int))
                for tuned_for, measure in TUNED_FOR.items():
                    best[tuned_for] = max(best[tuned_for], (found[measure], c, threshold))
        for tuned_for, (_, c, threshold) in best.items():
            p = one_versus_rest(c).fit(self.x, self.y).predict_proba(self.x_test)
            measures = self.measure((p >= threshold).astype(int))
            extra = {"C": c, "threshold": threshold, "fit_seconds": time.perf_counter() - start}
            yield {"decoder": name, "tuned_for": tuned_for, "measures": measures, "extra": extra}

    def rows(self, options):
        if self.seed == 0:
            linear = OneVsRestClassifier(LogisticRegression(max_iter=1000), n_jobs=2)
            yield from self.fitted("OneVsRest(LogisticRegression)", linear)
            yield from self.fitted("KNeighborsClassifier, k = 10", KNeighborsClassifier(10, n_jobs=2))
            if MLkNN is not None and self.y.shape[1] <= options.ml_knn_up_to:
                yield from self.fitted("ML-kNN, k = 10", Dense(MLkNN(k=10)))
        yield from self.tuned("OneVsRest(LogisticRegression), C and threshold tuned")
        chain = ClassifierChain(LogisticRegression(max_iter=1000), order="random", random_state=self.seed)
        yield from self.fitted("ClassifierChain(LogisticRegression)", chain)


class Dense:
    """Gives a model dense labels back."""

    def __init__(self, model):
        self.model = model

    def fit(self, x, y):
        self.model.fit(x, y)

    def predict(self, x):
        return self.model.predict(x).toarray()


def ours(paths, seed, link, options):
    program = [options.program] if options.program else [*CARGO, "tagwise", "--example", "heads", "--"]
    command = [*program, *map(str, paths), "--seed", str(seed), "--link", link, "--scaling", "chosen"]
    if options.heads:
        command += ["--heads", options.heads]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=sys.stderr)
    return json.loads(output.stdout)


def describe(train, test):
    """What the label distribution is like."""
    (x, y), (_, y_test) = train, test
    sets = Counter(row.tobytes() for row in y.astype(np.uint8))
    unseen = np.mean([row.tobytes() not in sets for row in y_test.astype(np.uint8)])
    m = y.sum(1)
    shares = y.mean(0)
    return {
        "train": len(y), "test": len(y_test), "d": x.shape[1], "K": y.shape[1],
        "labels": m.mean(), "labels_sd": m.std(), "largest": int(m.max()), "single": np.mean(m == 1),
        "unlabelled": np.mean(m == 0), "sets": len(sets), "unseen": unseen,
        "median_share": np.median(shares), "imbalance": shares.max() / shares[shares > 0].min(),
    }


def measure_set(options, name, keep):
    """Measures every seed of a data set and hands what was found so far to `keep` after each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{part}.safetensors" for part in ("train", "test")]
        parts = None if name in TRAINED else of_mulan(options.folder, name, paths)
        for seed in range(options.first_seed, options.seeds):
            if name in TRAINED:
                paths, parts = of_run(options, name, seed)
            rows = []
            if "tagwise" in options.sides:
                rows += ours(paths, seed, "sigmoid" if name.endswith("bce") else "softmax", options)
            if "scikit-learn" in options.sides:
                seed_of_split = seed if name not in TRAINED else 0  # every run has features of its own
                baselines = Baselines(*parts[:2], parts[2] if len(parts) == 3 else None, seed_of_split)
                rows += [{"head": "scikit-learn", **row} for row in baselines.rows(options)]
            keep(describe(*parts[:2]) if seed == options.first_seed else None, [{"set": name, "seed": seed, **row} for row in rows])
            print(f"{name}, seed {seed}: {len(rows)} rows", file=sys.stderr, flush=True)


def cell(rows, measure):
    values = [row["measures"][measure] for row in rows]
    spread = f" ± {np.std(values):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def matrix(rows, tuned_for):
    """Decoders x heads, each cell tuned for what the table shows."""
    measure = TUNED_FOR[tuned_for]
    rows = [row for row in rows if row["tuned_for"] == tuned_for and row["head"] != "scikit-learn"]
    heads = list(dict.fromkeys(row["head"] for row in rows))
    decoders = list(dict.fromkeys(row["decoder"] for row in rows))
    decoders.sort(key=lambda name: (name == "top-m, m known", name.startswith("ONN"), name == "auto"))
    yield f"| {measure} | {' | '.join(heads)} |"
    yield "|---|" + "---|" * len(heads)
    for decoder in decoders:
        cells = []
        for head in heads:
            found = [row for row in rows if row["head"] == head and row["decoder"] == decoder]
            cells.append(cell(found, measure) if found else "")
        yield f"| {decoder} | {' | '.join(cells)} |"


def baseline_table(rows):
    rows = [row for row in rows if row["head"] == "scikit-learn"]
    yield "| scikit-learn | tuned for | exact match | F1 samples | F1 micro | F1 macro | Hamming loss |"
    yield "|---|---|---|---|---|---|---|"
    groups = {}
    for row in rows:
        is_tuned = row["decoder"].endswith("tuned")
        if is_tuned or row["tuned_for"] == "exact":
            groups.setdefault((row["decoder"], row["tuned_for"] if is_tuned else "–"), []).append(row)
    for (decoder, tuned_for), found in groups.items():
        cells = " | ".join(cell(found, measure) for measure in MEASURES)
        yield f"| {decoder} | {tuned_for} | {cells} |"


def combinations(name):
    """The few combinations that the summary shows: column, head, decoder."""
    features, pal = ("none", "network") if name in TRAINED else ("PAL-N", "PAL-N")
    prior = "ONN, Mahalanobis, label-set means, label-set prior"
    return [
        ("ONN of the paper", features, "ONN, cosine, tag averages"),
        ("ONN, set means, prior", features, prior),
        ("PAL-N or own, threshold", pal, "threshold"),
        ("PAL-N or own, top-m", pal, "top-m, m predicted"),
        ("PAL-N or own, auto", pal, "auto"),
        ("BCE, p ≥ 0.5", "BCE", "p ≥ 0.5, not tuned"),
        ("BCE, threshold", "BCE", "threshold"),
        ("BCE, top-m", "BCE", "top-m, m predicted"),
        ("BCE, expected F1", "BCE", "expected F1"),
        ("BCE, auto", "BCE", "auto"),
        ("set likelihood, most probable", "set likelihood", "most probable set"),
        ("set likelihood, expected F1", "set likelihood", "expected F1 of sets"),
        ("set likelihood, auto", "set likelihood", "auto"),
        ("OvR LR", "scikit-learn", "OneVsRest(LogisticRegression)"),
        ("OvR LR, tuned", "scikit-learn", "OneVsRest(LogisticRegression), C and threshold tuned"),
        ("chain", "scikit-learn", "ClassifierChain(LogisticRegression)"),
        ("k-NN", "scikit-learn", "KNeighborsClassifier, k = 10"),
        ("ML-kNN", "scikit-learn", "ML-kNN, k = 10"),
    ]


def summary(results, tuned_for):
    """One row for each combination, one column for each data set, the best of each column bold."""
    measure = TUNED_FOR[tuned_for]
    columns = {}
    for name, result in results.items():
        cells = {}
        for label, head, decoder in combinations(name):
            found = [row for row in result["rows"]
                     if (row["head"], row["decoder"], row["tuned_for"]) == (head, decoder, tuned_for)]
            if found:
                cells[label] = np.mean([row["measures"][measure] for row in found])
        best = max(cells.values(), default=0)
        columns[name] = {label: f"**{x:.3f}**" if x > best - 5e-4 else f"{x:.3f}" for label, x in cells.items()}
    yield f"| {measure} | {' | '.join(columns)} |"
    yield "|---|" + "---|" * len(columns)
    for label in dict.fromkeys(label for name in columns for label, *_ in combinations(name)):
        yield f"| {label} | {' | '.join(cells.get(label, '–') for cells in columns.values())} |"


def distributions(results):
    yield "| data set | N | K | labels a sample | one label | label sets | unseen sets in test | median label |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, result in results.items():
        a = result["about"]
        yield (f"| {name} | {a['train']:,} + {a['test']:,} | {a['K']} | {a['labels']:.2f} ± {a['labels_sd']:.2f} | "
               f"{a['single']:.0%} | {a['sets']:,} | {a['unseen']:.0%} | {a['median_share']:.1%} |")


def section(name, about, rows):
    a = about
    yield f"\n## {name}\n"
    yield (f"{a['train']:,} + {a['test']:,} samples, d = {a['d']}, K = {a['K']}, {a['labels']:.2f} ± "
           f"{a['labels_sd']:.2f} labels a sample (at most {a['largest']}), {a['single']:.0%} with one and "
           f"{a['unlabelled']:.0%} with none; {a['sets']:,} label sets, {a['unseen']:.0%} of the test samples "
           f"have a set that training lacks; median label on {a['median_share']:.1%} of the samples.\n")
    for tuned_for in TUNED_FOR:
        yield from matrix(rows, tuned_for)
        yield ""
    if any(row["head"] == "scikit-learn" for row in rows):
        yield from baseline_table(rows)


def side(row):
    return "scikit-learn" if row["head"] == "scikit-learn" else "tagwise"


def write(path, text):
    """Replaces a file as a whole, so that an interruption leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=lambda text: text.split(","), help="all of them when absent")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0, help="to go on after an interruption")
    parser.add_argument("--sides", default="tagwise,scikit-learn",
                        help="what to measure; rows of the other side stay as they are in --out")
    parser.add_argument("--heads", help="heads of tagwise, by the names of the tables; all when absent")
    parser.add_argument("--program", help="the built example heads; cargo runs it when absent")
    parser.add_argument("--tagwise", help="the built program; cargo runs it when absent")
    parser.add_argument("--ml-knn-up-to", type=int, default=30, help="largest K for ML-kNN, whose loops are Python's")
    parser.add_argument("--runs", type=Path, default=Path("runs/heads"))
    parser.add_argument("--mnist", type=Path, help="folder of the MNIST files")
    parser.add_argument("--out", type=Path, default=Path("runs/heads.json"),
                        help="every number, written after each seed; what is in the file and not measured is kept")
    parser.add_argument("--tables", type=Path, default=Path("docs/heads-tables.md"))
    options = parser.parse_args()
    sides = options.sides.split(",")
    order = [*TABLES, *TRAINED]
    wanted = options.sets or [name for name in order if options.mnist or not name.startswith("mnist")]
    if unknown := set(wanted) - set(order):
        parser.error(f"--sets: expected some of {', '.join(order)}, found {', '.join(sorted(unknown))}")
    if options.mnist is None and any(name.startswith("mnist") for name in wanted):
        parser.error("--mnist: expected the folder of the MNIST files for mnist-pal and mnist-bce")
    if unknown := set(sides) - {"tagwise", "scikit-learn"}:
        parser.error(f"--sides: expected tagwise, scikit-learn or both, found {', '.join(sorted(unknown))}")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in wanted:
        def keep(about, found):
            """Puts rows in the place of those of the same side and seed."""
            entry = results.setdefault(name, {"about": about, "rows": []})
            entry["about"] = entry["about"] or about
            measured = {(side(row), row["seed"]) for row in found}
            entry["rows"] = [row for row in entry["rows"] if (side(row), row["seed"]) not in measured] + found
            write(options.out, json.dumps(results, default=float))

        measure_set(options, name, keep)
    results = {name: results[name] for name in order if name in results}
    lines = [TITLE, "\n## Summary\n", *distributions(results), "",
             *summary(results, "exact"), "", *summary(results, "f1")]
    for name, result in results.items():
        lines += section(name, result["about"], result["rows"])
    write(options.tables, "\n".join(lines) + "\n")


TITLE = """# Every head with every decoder

Written by `python bench/heads.py MULAN_FOLDER`; [heads.md](heads.md) says what it means. Mean ± standard deviation over seeds (of the held-out
part, and of the training run for digits). In the first table of a data set rules are tuned for exact match, in the second for
the F1 of samples; one-nearest-neighbour (ONN) decoders are not tuned. The head "none" means ONN on the features themselves,
"network" the classifier that the network was trained with."""


if __name__ == "__main__":
    main()
