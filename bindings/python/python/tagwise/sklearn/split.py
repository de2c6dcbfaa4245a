"""Splits in which every label keeps its share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import _safe_indexing, check_random_state, indexable

from tagwise import stratified_folds
from tagwise.errors import TagwiseValueError

__all__ = ["MultilabelStratifiedKFold", "train_test_split"]


class MultilabelStratifiedKFold(BaseCrossValidator):
    """K folds in which every label keeps its share, as far as whole samples allow.

    Iterative stratification: the label with the fewest samples left is dealt first. Labels come
    before sizes: a fold may be a few samples larger or smaller. Wherever scikit-learn takes ``cv=``.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    random_state : int, RandomState instance or None, default=0
        In which order samples are dealt.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data".

    Examples
    --------
    >>> import numpy as np
    >>> from tagwise.sklearn import MultilabelStratifiedKFold
    >>> Y = np.array([[1, 0]] * 8 + [[1, 1]] * 2)
    >>> [int(Y[test, 1].sum()) for _, test in MultilabelStratifiedKFold(2).split(Y, Y)]
    [1, 1]
    """

    def __init__(self, n_splits: int = 5, *, random_state: Any = 0) -> None:
        if not isinstance(n_splits, (int, np.integer)) or n_splits < 2:
            raise TagwiseValueError(f"expected n_splits as a whole number of at least 2, found {n_splits!r}")
        self.n_splits = int(n_splits)
        self.random_state = random_state

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Positions of training and test samples of each fold.

        Parameters
        ----------
        X : anything with N rows; only their number is looked at
        y : indicator matrix of shape (N, K), or classes of shape (N,)
        groups : ignored
        """
        folds = self._folds(X, y)
        for fold in range(self.n_splits):
            yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of folds."""
        return self.n_splits

    def _iter_test_masks(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Any]:
        folds = self._folds(X, y)
        yield from (folds == fold for fold in range(self.n_splits))

    def _folds(self, X: Any, y: Any) -> NDArray[np.int64]:
        if y is None:
            raise TagwiseValueError("expected y, the targets whose labels keep their shares, found None")
        X, y = indexable(X, y)
        num_samples = y.shape[0] if hasattr(y, "shape") else len(y)
        if num_samples < self.n_splits:
            raise TagwiseValueError(
                f"expected at least {self.n_splits} samples, one for each fold, found {num_samples}"
            )
        return stratified_folds(_targets(y), [1.0] * self.n_splits, seed=_seed(self.random_state))


def train_test_split(
    *arrays: Any,
    stratify: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: Any = 0,
) -> list[Any]:
    """Splits arrays so that every label has its share in both parts, ``X, X_test, Y, Y_test``.

    Parameters
    ----------
    arrays
        Arrays, sparse matrices, data frames or lists of N rows.
    stratify
        The targets whose labels keep their shares: an indicator matrix or classes ``[N]``.
    test_size, train_size
        A share between 0 and 1, or a number of samples; 0.25 for testing unless given. Samples
        beyond both are left out. Labels come before sizes: a part may be a few samples larger or
        smaller.
    random_state
        In which order samples are dealt.

    Raises
    ------
    ValueError
        When lengths differ, sizes leave a part empty or exceed what is there.

    Examples
    --------
    >>> import numpy as np
    >>> from tagwise.sklearn import train_test_split
    >>> Y = np.array([[1, 0]] * 8 + [[1, 1]] * 4)
    >>> train, test = train_test_split(Y, stratify=Y)
    >>> train[:, 1].sum(), test[:, 1].sum()
    (np.int64(3), np.int64(1))
    """
    if not arrays:
        raise TagwiseValueError("expected at least one array to split, found none")
    *parts, targets = indexable(*arrays, stratify)
    num_samples = targets.shape[0] if hasattr(targets, "shape") else len(targets)
    shares = _shares(num_samples, test_size, train_size)
    folds = stratified_folds(
        _targets(targets), [share for share in shares if share > 0], seed=_seed(random_state)
    )
    rows = [np.flatnonzero(folds == fold) for fold in (0, 1)]
    return [_safe_indexing(part, of_fold) for part in parts for of_fold in rows]


def _shares(
    num_samples: int, test_size: float | int | None, train_size: float | int | None
) -> tuple[float, float, float]:
    """Of training, of testing and of what is left out."""
    train = None if train_size is None else _share("train_size", train_size, num_samples)
    test = None if test_size is None else _share("test_size", test_size, num_samples)
    if test is None:
        test = 0.25 if train is None else 1.0 - train
    if train is None:
        train = 1.0 - test
    rest = 1.0 - train - test
    if rest < -1e-9 or min(train, test) <= 0.0 or num_samples < 2:
        raise TagwiseValueError(
            f"expected parts of training and testing with samples of their own among {num_samples}, "
            f"found shares {train:g} and {test:g}"
        )
    return train, test, rest if rest > 1e-9 else 0.0


def _share(name: str, size: float | int, num_samples: int) -> float:
    if isinstance(size, (int, np.integer)) and not isinstance(size, bool):
        if 0 < size < num_samples:
            return int(size) / num_samples
    elif 0.0 < size < 1.0:
        return float(size)
    raise TagwiseValueError(
        f"expected {name} as a share between 0 and 1 or a number of samples below {num_samples}, "
        f"found {size!r}"
    )


def _targets(y: Any) -> Any:
    """Classes of any type as numbers; indicator matrices as they are."""
    if hasattr(y, "toarray") or np.ndim(y) == 2:
        return y
    return np.unique(np.asarray(y), return_inverse=True)[1]


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))
