"""Threads of the package's own, apart from those of other libraries."""

from __future__ import annotations

from . import _core, _settings


def set_num_threads(num_threads: int) -> None:
    """Sets how many threads the package works with; 0: as RAYON_NUM_THREADS says, else one for each processor.

    Results do not depend on it.

    Examples
    --------
    >>> import tagwise
    >>> tagwise.set_num_threads(2)
    >>> tagwise.get_num_threads()
    2
    """
    _core.set_num_threads(_settings.whole("num_threads", num_threads))
