"""Collapse of features in a Spark data frame: every partition becomes bytes, bytes meet in a tree.

python spark_statistics.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow
from pyspark.sql import DataFrame, SparkSession

import tagwise


def statistics_of(frame: DataFrame, num_classes: int, dim: int) -> tagwise.Statistics:
    """The statistics of a frame with ``features`` (lists of d numbers) and ``labels`` (lists of
    class numbers)."""

    def parts(batches: Iterator[Any]) -> Iterator[Any]:
        statistics = tagwise.Statistics(num_classes, dim)
        for batch in batches:
            features = batch.column("features").flatten().to_numpy(zero_copy_only=False)
            labels = batch.column("labels").to_pylist()
            statistics.update(features.reshape(len(labels), dim), labels)
        yield pyarrow.RecordBatch.from_pydict({"state": [statistics.to_bytes()]})

    def merged(first: bytes, second: bytes) -> bytes:
        both = tagwise.Statistics.from_bytes(first)
        return both.merge(tagwise.Statistics.from_bytes(second)).to_bytes()

    states = frame.mapInArrow(parts, "state binary").rdd.map(lambda row: bytes(row.state))
    return tagwise.Statistics.from_bytes(states.treeReduce(merged))


def main() -> None:
    """Features around a simplex ETF, 8 partitions."""
    spark = SparkSession.builder.master("local[2]").getOrCreate()
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, 4000)
    features = tagwise.simplex_etf(10, 16)[classes] + 0.01 * rng.normal(size=(4000, 16))
    rows = [(row.tolist(), [int(k)]) for row, k in zip(features, classes, strict=True)]
    frame = spark.createDataFrame(rows, "features array<double>, labels array<int>").repartition(8)
    print(statistics_of(frame, 10, 16).collapse(weight=tagwise.simplex_etf(10, 16)))
    spark.stop()


if __name__ == "__main__":
    main()
