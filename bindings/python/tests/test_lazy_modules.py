"""Optional libraries: not imported before they are needed, and one sentence where they are missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tagwise.__main__ import find_command

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
whole = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden else whole(name, *rest)
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


@pytest.mark.skipif(os.name == "nt", reason="the interpreter is wrapped by a shell")
def test_training_on_pytorch_without_pytorch_is_refused_in_one_sentence(tmp_path):
    try:
        find_command()
    except FileNotFoundError:
        pytest.skip("the package was installed without the command")
    python, prelude = tmp_path / "python", tmp_path / "prelude.py"
    prelude.write_text(f"import sys; sys.path[:0] = {sys.path!r}\n" + PRELUDE.format(hidden=("torch",)))
    # The command runs: python -P -c PROGRAM
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$1" "$2" "$(cat "{prelude}")\n$3"\n')
    python.chmod(0o755)
    command = [find_command(), "train", "--quiet", "--device", "torch-cpu", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "TAGWISE_PYTHON": str(python)}
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and not (tmp_path / "run").exists()
    assert refused.stderr == (
        'tagwise: training on PyTorch needs torch, which is not installed: pip install "tagwise[torch]"\n'
    )
