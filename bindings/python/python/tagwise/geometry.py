"""Simplex equiangular tight frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _settings
from ._inputs import as_matrix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["simplex_etf", "simplex_etf_error"]


def simplex_etf(num_classes: int, dim: int) -> NDArray[np.float64]:
    """A simplex ETF: K unit rows in d ≥ K − 1 dimensions with cosines −1/(K−1), [K, d].

    For d ≥ K the rows are √(K/(K−1))·(I − 11ᵀ/K), with zeros behind; for d = K − 1 the same vectors in
    an orthonormal basis. Any other simplex ETF is a rotation of this one.

    Raises
    ------
    TagwiseValueError
        For fewer than 2 classes and for d < K − 1.

    Examples
    --------
    >>> import tagwise
    >>> etf = tagwise.simplex_etf(4, 3)  # a regular tetrahedron
    >>> round(float(etf[0] @ etf[3]), 4)
    -0.3333

    References
    ----------
    Li, Li, Wang and Qu 2024 (arXiv 2310.15903), definition of the simplex ETF.
    """
    return _core.simplex_etf(_settings.whole("num_classes", num_classes), _settings.whole("dim", dim))


def simplex_etf_error(weight: Any) -> float:
    """How far the rows of a matrix [K, d] are from a simplex ETF, whatever its scale and rotation: NC2.

    ‖AAᵀ/‖AAᵀ‖_F − (I − 11ᵀ/K)/√(K−1)‖_F, 0 for a simplex ETF and at most 2.

    Raises
    ------
    TagwiseValueError
        For fewer than 2 rows, and when all rows are zero or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import tagwise
    >>> round(tagwise.simplex_etf_error(np.eye(10)), 4)
    0.3204

    References
    ----------
    Li, Li, Wang and Qu 2024 (arXiv 2310.15903), metric NC2.
    """
    return _core.simplex_etf_error(as_matrix(weight, "weight"))
