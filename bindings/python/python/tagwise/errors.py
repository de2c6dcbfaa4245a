"""What can go wrong: one sentence that says what was expected, what was found and where.

Every error of the package is a `TagwiseError`. Ctrl-C raises `KeyboardInterrupt` as everywhere.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "TagwiseError",
    "TagwiseFileError",
    "TagwiseFileNotFoundError",
    "TagwiseTypeError",
    "TagwiseValueError",
]


class TagwiseError(Exception):
    """Base of all errors of the package."""


class TagwiseValueError(TagwiseError, ValueError):
    """A value, a shape or the content of a file is not what it should be.

    Examples
    --------
    >>> import tagwise
    >>> tagwise.simplex_etf(10, 8)
    Traceback (most recent call last):
        ...
    tagwise.errors.TagwiseValueError: no simplex ETF of 10 classes exists in 8 dimensions; use at least 9
    """


class TagwiseTypeError(TagwiseError, TypeError):
    """An argument is of a type that cannot be read."""


class TagwiseFileError(TagwiseError, OSError):
    """The operating system refused a file; `filename` and `errno` are set.

    Examples
    --------
    >>> import tagwise
    >>> tagwise.Head.load("missing.safetensors")
    Traceback (most recent call last):
        ...
    tagwise.errors.TagwiseFileNotFoundError: missing.safetensors: No such file or directory (os error 2)
    """

    def __str__(self) -> str:
        # OSError would build a sentence of its own from the number and the name.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.errno, self.filename)


class TagwiseFileNotFoundError(TagwiseFileError, FileNotFoundError):
    """There is no such file."""


def _again(kind: type[TagwiseFileError], arguments: tuple[Any, ...], errno: Any, filename: Any) -> TagwiseFileError:
    """A pickled error."""
    error = kind(*arguments)
    error.errno, error.filename = errno, filename
    return error
