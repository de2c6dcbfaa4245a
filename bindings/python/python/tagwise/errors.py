"""What can go wrong: one sentence that says what was expected, what was found and where.

Every error of the package is a `TagwiseError`. Ctrl-C raises `KeyboardInterrupt` as everywhere.
"""

from __future__ import annotations

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
    """The operating system refused a file; `filename` and `errno` are set."""


class TagwiseFileNotFoundError(TagwiseFileError, FileNotFoundError):
    """There is no such file."""
