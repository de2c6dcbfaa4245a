"""The stubs of the compiled part are those of what was compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tagwise


def stubtest(**environment):
    pytest.importorskip("mypy.stubtest")
    command = [sys.executable, "-m", "mypy.stubtest", "tagwise._core", "--concise"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return checked.returncode, checked.stdout + checked.stderr


def test_stubs_and_signatures_agree():
    code, said = stubtest()
    assert code == 0, said


def test_stubs_that_differ_are_told(tmp_path):
    package = Path(tagwise.__file__).parent
    text = (package / "_core.pyi").read_text()
    changes = {
        # removed: a function
        "def stratified_folds(targets: LabelSets, shares: list[float], seed: int) -> _I64: ...\n": "",
        # renamed: an argument
        "def simplex_etf(num_classes: int, dim: int)": "def simplex_etf(num_labels: int, dim: int)",
        # added: a function
        "def get_num_threads() -> int: ...": "def get_num_threads() -> int: ...\ndef get_num_cores() -> int: ...",
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    methods = [line for line in text.splitlines() if line.startswith("    def within_scatter")]
    assert methods, "the method that is renamed below"
    text = text.replace("def within_scatter", "def inner_scatter")
    stubs = tmp_path / "tagwise"
    stubs.mkdir()
    (stubs / "__init__.pyi").touch()  # the other modules would not fit these stubs
    (stubs / "_core.pyi").write_text(text)
    code, said = stubtest(MYPYPATH=str(tmp_path))
    assert code != 0
    for name in ("stratified_folds", "num_labels", "get_num_cores", "inner_scatter", "within_scatter"):
        assert name in said, f"{name} in {said}"
