"""The pages for scikit-learn's users and about decisions run, and show what they say."""

from __future__ import annotations

import pytest

from pages import DOCS, run_page


def test_the_page_about_decisions_runs(tmp_path, monkeypatch):
    run_page("python-decisions.md", tmp_path, monkeypatch)


def test_the_page_for_scikit_learn_runs(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    run_page("python-sklearn.md", tmp_path, monkeypatch)


def test_links_lead_somewhere():
    import re

    if not DOCS.exists():
        pytest.skip("the pages are not part of this checkout")
    for page in DOCS.glob("python-*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("module", ["sklearn", "sklearn.linear", "sklearn.nearest", "sklearn.split"])
def test_examples_in_docstrings_show_what_they_say(module):
    import doctest
    import importlib

    pytest.importorskip("sklearn")
    failed, tried = doctest.testmod(importlib.import_module(f"tagwise.{module}"))
    assert failed == 0 and tried > 0
