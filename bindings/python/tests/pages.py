"""Pages of the documentation as tests."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def run_page(name, folder, monkeypatch):
    """Runs the Python blocks of a page one after the other in one space; those with >>> must show
    what they say."""
    page = DOCS / name
    if not page.exists():
        pytest.skip("the page is not part of this checkout")
    monkeypatch.chdir(folder)
    text = page.read_text(encoding="utf-8")
    space = {"__name__": "page"}
    found = list(re.finditer(r"^```python\n(.*?)^```", text, flags=re.M | re.S))
    assert found
    for match in found:
        line, block = text[: match.start()].count("\n") + 1, match[1]
        if ">>>" not in block:
            exec(compile("\n" * line + block, str(page), "exec"), space)
            continue
        test = doctest.DocTestParser().get_doctest(block, space, name, str(page), line)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, clear_globs=False)
        space.update(test.globs)
        assert runner.failures == 0
