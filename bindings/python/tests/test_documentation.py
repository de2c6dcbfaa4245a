"""Examples in docstrings and pages run, and show what they say."""

import doctest
import importlib
import inspect
import os
import re
from pathlib import Path

import pytest

import tagwise

MODULES = ["collapse", "decoders", "errors", "geometry", "head", "labels", "losses", "measures", "model", "splits", "_threads"]
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["tagwise", *(f"tagwise.{module}" for module in MODULES)])
def test_docstrings(name):
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    tagwise.set_num_threads(0)
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
