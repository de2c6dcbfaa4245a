"""The pages for training loops and frameworks run, and so do the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib

import pytest

from pages import run_page

pytest.importorskip("torch")

MODULES = ["batches", "etf", "functional", "losses", "monitor", "weights"]


def test_the_page_for_training_loops_runs(tmp_path, monkeypatch):
    run_page("python-training-loop.md", tmp_path, monkeypatch)


def test_the_page_for_gpus_runs(tmp_path, monkeypatch):
    run_page("gpu.md", tmp_path, monkeypatch)


def test_the_page_for_lightning_and_hugging_face_runs(tmp_path, monkeypatch):
    for name in ("lightning", "transformers", "accelerate", "torchmetrics"):
        pytest.importorskip(name)
    run_page("python-lightning-hf.md", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("module", "library"),
    [*((f"torch.{name}", "torch") for name in MODULES), ("torch", "torch"), ("torchmetrics", "torchmetrics"), ("transformers", "transformers"), ("lightning", "lightning")],
)
def test_examples_in_docstrings_show_what_they_say(module, library):
    pytest.importorskip(library)
    failed, tried = doctest.testmod(importlib.import_module(f"tagwise.{module}"))
    assert failed == 0 and tried > 0
