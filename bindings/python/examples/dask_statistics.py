"""Collapse of features that Dask holds: every worker sums its own blocks, bytes meet in a tree.

python dask_statistics.py
"""

from __future__ import annotations

from typing import Any

import dask.array
import numpy as np
from dask.delayed import delayed

import tagwise


@delayed
def part_of(features: Any, targets: Any, num_classes: int) -> bytes:
    """The statistics of one block of rows, as bytes."""
    statistics = tagwise.Statistics(num_classes, features.shape[1])
    return statistics.update(features, targets).to_bytes()


@delayed
def merged(parts: list[bytes]) -> bytes:
    """Several parts as one."""
    first, *others = map(tagwise.Statistics.from_bytes, parts)
    for other in others:
        first.merge(other)
    return first.to_bytes()


def statistics_of(
    features: dask.array.Array, targets: dask.array.Array, fan_in: int = 8
) -> tagwise.Statistics:
    """The statistics of dask arrays ``[N, d]`` and ``[N, K]`` that are cut into the same rows."""
    features = features.rechunk({1: -1})
    targets = targets.rechunk({0: features.chunks[0], 1: -1})
    blocks = zip(features.to_delayed()[:, 0], targets.to_delayed()[:, 0], strict=True)
    parts = [part_of(rows, sets, targets.shape[1]) for rows, sets in blocks]
    while len(parts) > 1:
        parts = [merged(parts[i : i + fan_in]) for i in range(0, len(parts), fan_in)]
    return tagwise.Statistics.from_bytes(parts[0].compute())


def main() -> None:
    """Features around a simplex ETF, 40 blocks."""
    rng = np.random.default_rng(0)
    targets = np.eye(10, dtype=np.uint8)[rng.integers(0, 10, 20_000)]
    features = targets @ tagwise.simplex_etf(10, 64) + 0.01 * rng.normal(size=(20_000, 64))
    arrays = (dask.array.from_array(array, chunks=(500, -1)) for array in (features, targets))
    print(statistics_of(*arrays).collapse(weight=tagwise.simplex_etf(10, 64)))


if __name__ == "__main__":
    main()
