"""The stubs of the compiled part are those of what was compiled."""

import subprocess
import sys

import pytest


def test_stubs_and_signatures_agree():
    pytest.importorskip("mypy.stubtest")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "tagwise._core", "--concise"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
