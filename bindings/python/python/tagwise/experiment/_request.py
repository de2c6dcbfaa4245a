"""What the command asks a PyTorch process first, for tests and benchmarks that drive one themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tagwise.__main__ import find_command
from tagwise.errors import TagwiseError

#: In the place of the interpreter: keeps the first request.
_KEEPER = """#!{python}
import json, os, sys
sys.path[:0] = {path!r}
import tagwise
from tagwise.experiment._frames import PROTOCOL, Frames
frames = Frames(os.fdopen(0, "rb"), os.fdopen(1, "wb"))
frames.write({{"tagwise": tagwise.__version__, "protocol": PROTOCOL}})
request = json.dumps(frames.next())
with open({file!r}, "w") as file:
    file.write(request)
frames.write({{"error": "enough"}})
"""


def first_request(arguments: list[str], device: str = "torch-cpu") -> dict[str, Any]:
    """The request of `tagwise train` with these arguments; nothing is trained.

    Raises
    ------
    TagwiseError
        For arguments that are no experiment.
    """
    with tempfile.TemporaryDirectory(prefix="tagwise-") as scratch:
        keeper, file = Path(scratch) / "python", Path(scratch) / "request.json"
        keeper.write_text(_KEEPER.format(python=sys.executable, path=sys.path, file=str(file)))
        keeper.chmod(0o755)
        asked = subprocess.run(
            [find_command(), "train", "--quiet", "--out", str(Path(scratch) / "run"), *arguments, "--device", device],
            env={**os.environ, "TAGWISE_PYTHON": str(keeper)},
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stderr != "tagwise: enough\n":
            raise TagwiseError(asked.stderr.strip())
        request: dict[str, Any] = json.loads(file.read_text())
        return request
