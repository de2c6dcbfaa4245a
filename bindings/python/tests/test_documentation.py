"""Examples in docstrings and pages run, and show what they say."""

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tagwise
from conftest import multi_label

MODULES = ["collapse", "decoders", "errors", "geometry", "head", "labels", "losses", "measures", "model", "rules", "splits", "statistics", "_threads"]
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["tagwise", *(f"tagwise.{module}" for module in MODULES)])
def test_docstrings(name):
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    tagwise.set_num_threads(0)
    assert failed == 0 and tried > 0


def test_docstrings_of_experiments(tmp_path, monkeypatch):
    from tagwise import experiment
    from tagwise.__main__ import find_command

    try:
        find_command()
    except FileNotFoundError:
        pytest.skip("the package was installed without the command")
    monkeypatch.chdir(tmp_path)  # they leave run folders
    failed, tried = doctest.testmod(experiment)
    assert failed == 0 and tried > 0


def test_everything_public_is_described():
    """Each function and class has a docstring with an example or belongs to one that has."""
    for name in tagwise.__all__:
        item = getattr(tagwise, name)
        if callable(item) and not isinstance(item, type(tagwise.LOSSES)):
            assert item.__doc__, name
        if inspect.isclass(item):
            for member, value in vars(item).items():
                is_public = not member.startswith("_") and (callable(value) or isinstance(value, (property, classmethod)))
                assert not is_public or inspect.getdoc(getattr(item, member)), f"{name}.{member}"


def test_the_page_for_numpy_runs(tmp_path, monkeypatch):
    page = DOCS / "python.md"
    if not page.exists():
        pytest.skip("the page is not part of this checkout")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert len(blocks) > 3
    space = {}
    for block in blocks:
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, space, "python.md", str(page), 0)
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            runner.run(test, clear_globs=False)
            space.update(test.globs)
            assert runner.failures == 0
        else:
            exec(compile(block, str(page), "exec"), space)
    assert os.listdir(tmp_path)


def test_the_example_of_shards_measures_the_whole(tmp_path):
    """Three files, an odd number, measured by processes of their own."""
    features, targets = multi_label()
    paths = []
    for part in range(3):
        paths.append(str(tmp_path / f"part-{part}.npz"))
        np.savez(paths[-1], features=features[part::3], targets=targets[part::3])
    example = Path(__file__).parents[1] / "examples" / "shards.py"
    shown = subprocess.run([sys.executable, str(example), *paths], capture_output=True, text=True, check=True).stdout
    whole = tagwise.Statistics(5, 7).update(features, targets).collapse()
    assert shown.splitlines()[0] == str(whole).splitlines()[0]
    assert shown.splitlines()[4] == str(whole).splitlines()[4]
