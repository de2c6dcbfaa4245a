"""The same small features in every file format that the readers take, written by the libraries
that researchers use, for crates/tagwise/tests/formats.rs.

Needs: pip install numpy safetensors torch. Run: python tests/golden/formats.py
(writes tests/golden/formats/).
"""

from pathlib import Path

import numpy as np
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


def main():
    (FOLDER / "folder").mkdir(parents=True, exist_ok=True)
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
