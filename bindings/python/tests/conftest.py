"""Samples that several tests measure."""

import numpy as np
import pytest

NUM_CLASSES, DIM = 5, 7


def multi_label(seed=0, num_samples=400, spread=0.3):
    """Features around scaled sums of five directions, the same for every seed, of one to three labels each."""
    directions = np.random.default_rng(5).standard_normal((NUM_CLASSES, DIM)) + 2 * np.eye(NUM_CLASSES, DIM)
    rng = np.random.default_rng(seed)
    targets = np.zeros((num_samples, NUM_CLASSES), dtype=np.int64)
    for row in targets:
        size = rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])
        row[rng.choice(NUM_CLASSES, size=size, replace=False)] = 1
    scale = np.array([0, 1, 0.8, 0.7])[targets.sum(axis=1)]
    features = scale[:, None] * (targets @ directions) + spread * rng.standard_normal((num_samples, DIM))
    return features, targets


@pytest.fixture
def samples():
    return multi_label()


@pytest.fixture
def classifier():
    rng = np.random.default_rng(1)
    return rng.standard_normal((NUM_CLASSES, DIM)), rng.standard_normal(NUM_CLASSES)
