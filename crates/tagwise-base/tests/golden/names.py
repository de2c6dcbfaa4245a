"""The same small features and labels under the names that dumps have, and sparse matrices as SciPy
saves them, for crates/tagwise-base/tests/names.rs and crates/tagwise-data/src/samples.rs.

Needs: pip install numpy scipy. Run: in the folder of the crate, python tests/golden/names.py (writes
tests/golden/names/ here and, of some files, in crates/tagwise-data).
"""

import shutil

from pathlib import Path

import numpy as np
import scipy.sparse as sp

FOLDER = Path(__file__).parent / "names"
N, D, K = 6, 2, 3

features = (np.arange(N * D).reshape(N, D) / 4 - 1).astype(np.float32)
ids = np.array([2, 0, 1, 1, 0, 2])
sets = [[2], [0, 1], [1], [], [0], [0, 2]]
targets = np.array([[label in row for label in range(K)] for row in sets], np.uint8)
animals = np.array(["cow", "ant", "bee"])  # class 0, 1, 2 by number; ant, bee, cow sorted
dense = np.array([[0, 1.5, 0, 2], [0, 0, 0, 0], [-3, 0, 0, 0.25], [0, 0, 1, 0]])


def save(name, **arrays):
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


def dumps():
    save("x_y", X=features, y=targets)
    save("embeddings_labels", embeddings=features, labels=ids)
    save("features_labels", features=features, labels=targets.astype(np.float64))
    save("column", features=features, targets=ids.reshape(N, 1).astype(np.float32))
    save("num_classes", H=features, y=ids.astype(np.int8), num_classes=5)
    save("texts", features=features, labels=animals[ids])
    save("bytes", features=features, labels=animals[ids].astype("S"))
    save("big_endian", features=features, labels=animals[ids].astype(">U3"))
    save("lists", features=features, labels=np.array([";".join(animals[row]) for row in sets]))
    save("named", features=features, y=ids, class_names=animals)
    objects = np.array([list(animals[row]) for row in sets], dtype=object)
    save("objects", features=features, labels=objects)
    paths = np.array([f"{row}.png" for row in range(N)])
    save("extras", features=features, targets=targets, paths=paths, epoch=3, notes=objects, logits=targets * 2.0, stamps=np.zeros(2, "datetime64[s]"))
    save("split", X_train=features, y_train=ids, X_test=features[:2], y_test=ids[:2])
    save("several", X=features, embeddings=features[:, :1], y=ids)
    save("unlabelled", features=features)
    folder = FOLDER / "folder"
    folder.mkdir(exist_ok=True)
    np.save(folder / "X.npy", features)
    np.save(folder / "y.npy", ids)


def sparse():
    for name in ["csr", "csc", "bsr", "coo", "dia"]:
        kind = {"blocksize": (2, 2)} if name == "bsr" else {}
        matrix = getattr(sp, f"{name}_matrix")(dense, **kind)
        sp.save_npz(FOLDER / f"{name}.npz", matrix)
    sp.save_npz(FOLDER / "csr_array.npz", sp.csr_array(dense))
    # Entries in any order; those of one place add up, to 2 and to nothing.
    row, col = [2, 0, 0, 2, 3, 0, 1, 1], [0, 3, 1, 3, 2, 3, 0, 0]
    sp.save_npz(FOLDER / "coo_twice.npz", sp.coo_matrix(([-3, 0.5, 1.5, 0.25, 1, 1.5, 4, -4], (row, col)), (4, 4)))
    unsorted = sp.csr_matrix(([2, 1.5, 0.25, -3, 1], [3, 1, 3, 0, 2], [0, 2, 2, 4, 5]), (4, 4))
    assert (unsorted.toarray() == dense).all() and not unsorted.has_sorted_indices
    sp.save_npz(FOLDER / "csr_unsorted.npz", unsorted)
    sp.save_npz(FOLDER / "targets.npz", sp.csr_matrix(targets.astype(bool)))


def share():
    """What the readers of samples are tested with, inside their own crate."""
    theirs = Path(__file__).parents[3] / "tagwise-data" / "tests" / "golden" / "names"
    (theirs / "folder").mkdir(parents=True, exist_ok=True)
    for name in ["csr.npz", "targets.npz", "unlabelled.npz", "x_y.npz", "embeddings_labels.npz", "folder/X.npy", "folder/y.npy"]:
        shutil.copyfile(FOLDER / name, theirs / name)


FOLDER.mkdir(exist_ok=True)
dumps()
sparse()
share()
