"""Optional libraries: not imported before they are needed, and one sentence where they are missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {
    "torch": ("torch", "torch"),
    "lightning": ("lightning", "lightning"),
    "transformers": ("transformers", "transformers"),
    "torchmetrics": ("torchmetrics", "torchmetrics"),
    "sklearn": ("sklearn", "sklearn"),
}

PRELUDE = """
import importlib.util, sys
hidden = {hidden!r}
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden else find_spec(name, *rest)
import tagwise
"""


def run(code, hidden=()):
    program = PRELUDE.format(hidden=tuple(hidden)) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_the_package_imports_none_of_them():
    heavy = ["torch", "lightning", "pytorch_lightning", "transformers", "torchmetrics", "sklearn", "scipy", "pandas"]
    result = run(f"print([name for name in {heavy} if name in sys.modules])")
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("module", LIBRARIES)
def test_a_missing_library_is_named_with_the_line_that_installs_it(module):
    library, extra = LIBRARIES[module]
    hidden = [library, "pytorch_lightning"] if module == "lightning" else [library]
    needs_torch = module in ("lightning", "transformers", "torchmetrics")
    if needs_torch and run("import torch").returncode != 0:
        library = "torch"
    result = run(
        f"try: tagwise.{module}\nexcept ModuleNotFoundError as error: print(error)", hidden
    )
    assert result.stdout == (
        f'tagwise.{module} needs {library}, which is not installed: pip install "tagwise[{extra}]"\n'
    ), result.stderr
