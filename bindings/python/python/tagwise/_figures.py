"""What results that have figures, tables and a page share."""

from __future__ import annotations

import html
import json
from typing import Any

from . import _core, _settings


class WithPage:
    """Figures as the command's JSON has them, its tables as text, and its page."""

    _figures: dict[str, Any]

    def _make_page(self) -> _core.Page:
        raise NotImplementedError

    def _make_text(self) -> str:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The figures under the keys of the command's `--json`."""
        copied: dict[str, Any] = json.loads(self.to_json())
        return copied

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self._figures)

    def report(self, path: Any) -> None:
        """Writes the page: .html, one file that needs no network; its data as .json; its numbers as .csv; or its first picture as .svg.

        Raises
        ------
        TagwiseValueError
            For a name with another ending.
        TagwiseFileError
            When the file cannot be written.
        """
        self._make_page().write(_settings.path(path))

    def to_html(self) -> str:
        """The page as text."""
        return self._make_page().to_html()

    def __str__(self) -> str:
        return self._make_text()

    def _repr_html_(self) -> str:
        # A page of its own, so that its style and that of the notebook leave each other alone.
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe>'

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._figures == other._figures

    __hash__ = None  # type: ignore[assignment]


def by_multiplicity(values: dict[str, Any]) -> dict[int, Any]:
    """JSON has texts for keys; multiplicities are numbers."""
    return {int(multiplicity): value for multiplicity, value in values.items()}


def frame(rows: list[dict[str, Any]]) -> Any:
    """A pandas DataFrame, where pandas is."""
    try:
        import pandas
    except ImportError:
        raise ImportError("expected pandas for a data frame, found none; install it with: pip install pandas") from None
    return pandas.DataFrame(rows)
