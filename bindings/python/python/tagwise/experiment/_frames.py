"""The frames that the command and its PyTorch process exchange.

A frame is the length of its header (four bytes, little-endian), the header as JSON, and as many bytes as the header's
``bytes`` says.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

#: The version that both sides name.
PROTOCOL = 2


class Frames:
    """Requests in, answers out."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._left = 0

    def next(self) -> dict[str, Any] | None:
        """The header of the next request, whose payload is read apart; None at the end of all."""
        self._skip()
        length = self._requests.read(4)
        if len(length) < 4:
            return None
        header: dict[str, Any] = json.loads(self._requests.read(struct.unpack("<I", length)[0]))
        self._left = header.get("bytes", 0)
        return header

    def read_into(self, array: NDArray[Any]) -> None:
        """Fills a contiguous array with the next bytes of the payload."""
        view = array.reshape(-1).view(np.uint8).data
        if len(view) > self._left:
            raise EOFError(f"expected {len(view)} bytes of payload, found {self._left}")
        self._left -= len(view)
        while len(view) > 0:
            count = self._requests.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise EOFError("the payload ends early")
            view = view[count:]

    def read(self, count: int, dtype: str) -> NDArray[Any]:
        """The next numbers of the payload."""
        numbers = np.empty(count, dtype=np.dtype(dtype).newbyteorder("<"))
        self.read_into(numbers)
        return numbers.astype(dtype, copy=False)

    def write(self, header: dict[str, Any], payload: Iterable[NDArray[Any]] = ()) -> None:
        """Answers."""
        parts = [np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<")) for part in payload]
        text = json.dumps({**header, "bytes": sum(part.nbytes for part in parts)}).encode()
        self._answers.write(struct.pack("<I", len(text)))
        self._answers.write(text)
        for part in parts:
            self._answers.write(part.reshape(-1).view(np.uint8).data)
        self._answers.flush()

    def _skip(self) -> None:
        while self._left > 0:
            count = len(self._requests.read(min(self._left, 1 << 20)))
            if count == 0:
                return
            self._left -= count
