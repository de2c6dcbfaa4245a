"""Collapse of features that Ray's workers hold: every task sums its own shard, bytes meet in a tree.

python ray_statistics.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import ray

import tagwise


@ray.remote
def part_of(features: Any, targets: Any, num_classes: int) -> bytes:
    """The statistics of one shard, as bytes."""
    statistics = tagwise.Statistics(num_classes, features.shape[1])
    return statistics.update(features, targets).to_bytes()


@ray.remote
def merged(*parts: bytes) -> bytes:
    """Several parts as one."""
    first, *others = map(tagwise.Statistics.from_bytes, parts)
    for other in others:
        first.merge(other)
    return first.to_bytes()


def statistics_of(
    shards: list[tuple[Any, Any]], num_classes: int, fan_in: int = 8
) -> tagwise.Statistics:
    """The statistics of shards (features ``[n, d]``, targets ``[n, K]``), or of references to them."""
    parts = [part_of.remote(features, targets, num_classes) for features, targets in shards]
    while len(parts) > 1:
        parts = [merged.remote(*parts[i : i + fan_in]) for i in range(0, len(parts), fan_in)]
    return tagwise.Statistics.from_bytes(ray.get(parts[0]))


def main() -> None:
    """Features around a simplex ETF, 20 shards."""
    ray.init(num_cpus=2)
    rng = np.random.default_rng(0)
    targets = np.eye(10, dtype=np.uint8)[rng.integers(0, 10, 20_000)]
    features = targets @ tagwise.simplex_etf(10, 64) + 0.01 * rng.normal(size=(20_000, 64))
    shards = list(zip(np.split(features, 20), np.split(targets, 20), strict=True))
    print(statistics_of(shards, 10).collapse(weight=tagwise.simplex_etf(10, 64)))
    ray.shutdown()


if __name__ == "__main__":
    main()
