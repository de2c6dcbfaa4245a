"""Collapse of features in many files, measured by many processes: shards to bytes, merged in a tree.

    python shards.py features-*.npz

Each file holds `features` [N, d] and `targets` [N, K]. What travels between processes are the bytes of
`tagwise.Statistics`, so that the same three functions serve Dask (`client.submit`), Ray (`ray.remote`) and any
other engine that calls Python.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import tagwise


def reduced(path: str) -> bytes:
    """The statistics of one file."""
    with np.load(path) as file:
        features, targets = file["features"], file["targets"]
    statistics = tagwise.Statistics(num_classes=targets.shape[1], dim=features.shape[1])
    return statistics.update(features, targets).to_bytes()


def merged(one: bytes, other: bytes) -> bytes:
    """The statistics of two parts."""
    return tagwise.Statistics.from_bytes(one).merge(tagwise.Statistics.from_bytes(other)).to_bytes()


def measured(paths: Sequence[str]) -> tagwise.CollapseReport:
    """The report of all files, two parts at a time."""
    with ProcessPoolExecutor() as pool:
        parts = list(pool.map(reduced, paths))
        while len(parts) > 1:
            left_over = parts[len(parts) & ~1 :]
            parts = [*pool.map(merged, parts[0::2], parts[1::2]), *left_over]
    return tagwise.Statistics.from_bytes(parts[0]).collapse()


if __name__ == "__main__":
    print(measured(sys.argv[1:]))
