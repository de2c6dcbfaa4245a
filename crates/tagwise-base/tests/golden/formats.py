"""The same small features in every file format that the readers take, written by the libraries
that researchers use, for crates/tagwise/tests/formats.rs.

Needs: pip install numpy safetensors torch pyarrow. Run: in the folder of the crate, python tests/golden/formats.py
(writes tests/golden/formats/).
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import safetensors.torch
import torch

FOLDER = Path(__file__).parent / "formats"
N, D, K = 12, 3, 4

rng = np.random.default_rng(0)
# Multiples of 1/8 below 16 are exact in f16 and bf16, so that all files hold the same numbers.
features = (rng.integers(-64, 64, size=(N, D)) / 8).astype(np.float32)
targets = np.zeros((N, K), np.uint8)
for row in range(N):
    targets[row, rng.choice(K, size=2, replace=False) if row % 2 else [row // 2 % K]] = 1
weight = (rng.integers(-16, 16, size=(K, D)) / 8).astype(np.float32)
bias = (rng.integers(-16, 16, size=K) / 8).astype(np.float32)
labels = np.concatenate([np.flatnonzero(row) for row in targets]).astype(np.int64)
offsets = np.concatenate([[0], targets.sum(1).cumsum()]).astype(np.int64)


def parquet():
    """One file per kind of list and number, and a folder of two parts."""
    sets = [np.flatnonzero(row).tolist() for row in targets]
    kinds = {
        "fixed_f32": (pa.list_(pa.float32(), D), pa.list_(pa.int64()), "snappy"),
        "list_f64": (pa.list_(pa.float64()), pa.list_(pa.int32()), "zstd"),
        "list_f16": (pa.list_(pa.float16()), pa.large_list(pa.uint8()), "lz4"),
    }
    metadata = {"num_classes": str(K)}
    for name, (numbers, ids, compression) in kinds.items():
        rows = features.astype(np.float16) if name == "list_f16" else features
        columns = {"features": pa.array(list(rows), numbers), "labels": pa.array(sets, ids)}
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, FOLDER / f"{name}.parquet", compression=compression, row_group_size=5)
    rows = {"features": pa.array(list(features), kinds["fixed_f32"][0]), "targets": pa.array(list(targets == 1), pa.list_(pa.bool_()))}
    (FOLDER / "parts").mkdir(exist_ok=True)
    for part, bounds in enumerate([(0, 7), (7, N)]):
        table = pa.table(rows).slice(bounds[0], bounds[1] - bounds[0])
        pq.write_table(table, FOLDER / "parts" / f"{part}.parquet")
    for name, bad, ids in [
        ("ragged_rows", [[1.0, 2.0], [3.0]], [[0], [1]]),
        ("null_number", [[1.0, None], [3.0, 4.0]], [[0], [1]]),
        ("null_labels", [[1.0, 2.0], [3.0, 4.0]], [[0], None]),
        ("scalar_labels", [[1.0, 2.0], [3.0, 4.0]], [0, 1]),
    ]:
        pq.write_table(pa.table({"features": bad, "labels": ids}), FOLDER / f"{name}.parquet")
    table = pa.table({"features": [[1.0, 2.0], [3.0, 4.0]], "labels": [[0], []], "path": ["a.png", "b.png"]})
    pq.write_table(table, FOLDER / "path_column.parquet")


def main():
    (FOLDER / "folder").mkdir(parents=True, exist_ok=True)
    parquet()
    (FOLDER / "pickled").mkdir(exist_ok=True)
    both = {"weight": weight, "bias": bias}
    safetensors.numpy.save_file({"features": features, "targets": targets, **both}, FOLDER / "f32.safetensors")
    as_torch = {name: torch.tensor(array) for name, array in {"targets": targets.astype(bool), **both}.items()}
    for kind, dtype in {"f16": torch.float16, "bf16": torch.bfloat16, "f64": torch.float64}.items():
        tensors = {"features": torch.tensor(features).to(dtype), **as_torch}
        safetensors.torch.save_file(tensors, FOLDER / f"{kind}.safetensors")
    np.savez(FOLDER / "stored.npz", features=features.astype(np.float64), targets=targets.astype(np.int64), **both)
    np.savez_compressed(FOLDER / "ragged.npz", features=features, labels=labels, offsets=offsets, num_classes=K, **both)
    np.save(FOLDER / "folder" / "features.npy", np.asfortranarray(features))
    np.save(FOLDER / "folder" / "targets.npy", np.asfortranarray(targets.astype(np.float32)))
    np.save(FOLDER / "folder" / "weight.npy", np.asfortranarray(weight))
    np.save(FOLDER / "folder" / "bias.npy", bias)
    np.save(FOLDER / "pickled" / "features.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    broken = features.copy()
    broken[3, 1], broken[7, 0] = np.nan, np.inf
    np.savez(FOLDER / "not_finite.npz", features=broken, targets=targets)


if __name__ == "__main__":
    main()
