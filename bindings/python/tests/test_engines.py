"""Statistics made on other engines, by the committed examples."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import tagwise

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))  # workers import what they are sent by name
    monkeypatch.setenv("PYTHONPATH", ":".join([str(EXAMPLES), *filter(None, sys.path)]))
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def samples():
    rng = np.random.default_rng(0)
    targets = (rng.random((1000, 5)) < 0.3).astype(np.uint8)
    return targets @ rng.normal(size=(5, 8)) + 0.1 * rng.normal(size=(1000, 8)), targets


def assert_same(found, features, targets):
    whole = tagwise.Statistics(5, 8).update(features, targets)
    assert (found.counts == whole.counts).all()
    assert np.allclose(found.means, whole.means, rtol=0, atol=1e-13)
    assert found.collapse().scalars() == pytest.approx(whole.collapse().scalars(), rel=1e-9)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_dask(monkeypatch, scheduler, capsys):
    dask = pytest.importorskip("dask")
    arrays = pytest.importorskip("dask.array")
    recipe = example("dask_statistics", monkeypatch)
    features, targets = samples()
    with dask.config.set(scheduler=scheduler):
        found = recipe.statistics_of(
            arrays.from_array(features, chunks=(37, 3)), arrays.from_array(targets, chunks=(500, 5))
        )
    assert_same(found, features, targets)
    if scheduler == "threads":
        recipe.main()
        assert "NC1" in capsys.readouterr().out


def test_ray(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    recipe = example("ray_statistics", monkeypatch)
    features, targets = samples()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        shards = list(zip(np.array_split(features, 19), np.array_split(targets, 19), strict=True))
        assert_same(recipe.statistics_of(shards, 5, fan_in=4), features, targets)
    finally:
        ray.shutdown()
