"""The process that the command starts for `--device cuda`: it answers requests until there are no more."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tagwise
from tagwise._missing import need
from tagwise.errors import TagwiseError

from ._frames import PROTOCOL, Frames

Answer = tuple[dict[str, Any], tuple[NDArray[Any], ...]]


def main() -> None:
    """Serves standard input and output, which nothing else writes to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command decides when to stop
    frames = Frames(os.fdopen(os.dup(0), "rb", buffering=1 << 16), os.fdopen(os.dup(1), "wb", buffering=1 << 16))
    os.dup2(2, 1)
    sys.stdin.close()
    frames.write({"tagwise": tagwise.__version__, "protocol": PROTOCOL})
    try:
        serve(frames)
    except BrokenPipeError:
        pass  # the command is gone


def serve(frames: Frames) -> None:
    """Answers until the requests end, or until one cannot be met: then the sentence is the last answer."""
    session: Any = None
    while (request := frames.next()) is not None:
        try:
            if session is None:
                need("torch", extra="torch", module="training on PyTorch")
                from ._session import Session

                session = Session(request)
                header, payload = session.opened()
            else:
                header, payload = _handler(session, request)(request, frames)
        except Exception as error:
            frames.write({"error": _sentence(error)})
            return
        frames.write(header, payload)


def _handler(session: Any, request: dict[str, Any]) -> Callable[[dict[str, Any], Frames], Answer]:
    name = request.get("do", "")
    if name not in session.REQUESTS:
        raise TagwiseError(f"expected a request among {', '.join(session.REQUESTS)}, found {name!r}")
    handler: Callable[[dict[str, Any], Frames], Answer] = getattr(session, name)
    return handler


def _sentence(error: Exception) -> str:
    """What went wrong, in one line."""
    said = " ".join(str(error).split())
    if isinstance(error, (TagwiseError, ModuleNotFoundError)):
        return said
    if os.environ.get("TAGWISE_TRACEBACK"):
        import traceback

        traceback.print_exc()
    return f"PyTorch gave up: {type(error).__name__}: {said[:500]}"
