"""One sentence where an optional library is missing."""

from __future__ import annotations

from importlib.util import find_spec


def need(library: str, *, extra: str, module: str) -> None:
    """Says how to install the library that a module of this package builds on, if it is missing.

    Raises
    ------
    ModuleNotFoundError
        When ``library`` cannot be found. A library that is found and fails to import is not
        touched here: its own error says more.
    """
    if find_spec(library) is None:
        raise ModuleNotFoundError(
            f'{module} needs {library}, which is not installed: pip install "tagwise[{extra}]"',
            name=library,
        )
