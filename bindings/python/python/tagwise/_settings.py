"""Settings on their way to the library, which reads them as JSON: numbers, words and paths, checked."""

from __future__ import annotations

import json
import math
import operator
import os
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import TagwiseFileError, TagwiseFileNotFoundError, TagwiseTypeError, TagwiseValueError

T = TypeVar("T")


def number(name: str, value: Any) -> float:
    """A finite number; `name` is the argument that it is of."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TagwiseTypeError(f"expected `{name}` as a number, found {value!r}") from None
    if not math.isfinite(result):
        raise TagwiseValueError(f"expected `{name}` as a finite number, found {result}")
    return result


def whole(name: str, value: Any, at_least: int = 0) -> int:
    """A whole number of at least this, below 2⁶³."""
    try:
        result = operator.index(value)
    except TypeError:
        raise TagwiseTypeError(f"expected `{name}` as a whole number, found {value!r}") from None
    if not at_least <= result < 1 << 63:
        raise TagwiseValueError(f"expected `{name}` of at least {at_least} and below 2**63, found {result}")
    return result


def word(name: str, value: Any) -> str:
    """A text; which ones have a meaning, the library says."""
    if not isinstance(value, str):
        raise TagwiseTypeError(f"expected `{name}` as a text, found {value!r}")
    return value


def choice(name: str, value: Any) -> bool | None:
    """Yes, no, or nothing said."""
    if value is None or isinstance(value, bool):
        return value
    raise TagwiseTypeError(f"expected `{name}` True or False, found {value!r}")


def path(value: Any) -> str:
    """The name of a file."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise TagwiseTypeError(f"expected `path` as the name of a file, found {value!r}") from None


def data(value: Any) -> bytes:
    """The bytes of a saved object."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TagwiseTypeError(f"expected `data` as bytes, found {type(value).__name__}")


def names(value: Any) -> list[str] | None:
    """Names of classes, one for each."""
    if value is None:
        return None
    if isinstance(value, str):
        raise TagwiseTypeError(f"expected `class_names` as a list of names, found the text {value!r}")
    try:
        result = list(value)
    except TypeError:
        raise TagwiseTypeError(f"expected `class_names` as a list of names, found {value!r}") from None
    for name in result:
        if not isinstance(name, str):
            raise TagwiseTypeError(f"expected `class_names` as texts, found {name!r}")
    if len(set(result)) != len(result):
        twice = next(name for name in result if result.count(name) > 1)
        raise TagwiseValueError(f"expected `class_names` that differ, found {twice!r} twice")
    return [str(name) for name in result]


def text(value: Any) -> str:
    """JSON for the library."""
    return json.dumps(value, allow_nan=False)


def parsed(what: str, data: bytes) -> Any:
    """What `text` wrote, from bytes that may be anything."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise TagwiseValueError(f"expected the bytes of {what}, found something else ({error})") from None


def write(path: Any, content: bytes) -> None:
    """Writes a file, complete or not at all."""
    name = globals()["path"](path)
    temporary = f"{name}.{os.getpid()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, name)
    except OSError as error:
        raise _refused(name, error) from error


def read(path: Any) -> bytes:
    """The content of a file."""
    name = globals()["path"](path)
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise _refused(name, error) from error


def load(path: Any, from_bytes: Callable[[bytes], T]) -> T:
    """What the bytes of a file are; whatever is wrong with them is said with the file's name."""
    content = read(path)
    try:
        return from_bytes(content)
    except TagwiseValueError as error:
        raise TagwiseValueError(f"{globals()['path'](path)}: {error}") from None


def _refused(name: str, error: OSError) -> TagwiseFileError:
    kind = TagwiseFileNotFoundError if isinstance(error, FileNotFoundError) else TagwiseFileError
    refused = kind(f"{name}: {error.strerror}")
    refused.filename, refused.errno = name, error.errno
    return refused
