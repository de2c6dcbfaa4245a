"""Label sets: which classes each sample belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import _core, _settings
from ._inputs import as_array, check_sparse, is_sparse, is_tensor
from .errors import TagwiseError, TagwiseTypeError, TagwiseValueError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["LabelSets"]

#: Names that an error lists.
_SHOWN = 5


class LabelSets(Sequence[tuple[int, ...]]):
    """The label set of each of N samples over K classes.

    Everything of the package that takes targets takes them in these forms, without being told which:

    * an array or tensor [N, K] of 0 and 1, in any type of whole or floating-point numbers or booleans;
    * a SciPy sparse matrix [N, K] of 0 and 1;
    * a pandas DataFrame of 0 and 1, whose column names name the classes;
    * a one-dimensional array [N] of whole numbers: the one class of each sample;
    * a list of N lists, tuples or sets of class numbers, or of class names. A list is always a list of
      labels: rows of 0 and 1 must come as an array. Names are the classes in alphabetical order unless
      `class_names` says otherwise;
    * other `LabelSets`.

    `np.asarray(sets)` is the array of 0 and 1, so that functions of scikit-learn take them.

    Parameters
    ----------
    targets
        The label sets in one of these forms.
    num_classes
        K, where lists of class numbers do not say it; otherwise one more than the largest.
    class_names
        What the classes are called, in order.

    Raises
    ------
    TagwiseValueError
        For values other than 0 and 1, class numbers out of range, unknown names, other shapes.
    TagwiseTypeError
        For anything else than the forms above.

    Examples
    --------
    >>> import tagwise
    >>> sets = tagwise.LabelSets([["sea", "sky"], ["sky"], []])
    >>> sets.class_names, sets[0], sets.to_names()[1]
    (('sea', 'sky'), (0, 1), ('sky',))
    >>> sets.to_array().tolist()
    [[1, 1], [0, 1], [0, 0]]
    """

    __slots__ = ("_class_names", "_inner")

    _inner: _core.LabelSets
    _class_names: tuple[str, ...] | None

    def __init__(
        self, targets: Any, *, num_classes: int | None = None, class_names: Sequence[str] | None = None
    ) -> None:
        made = label_sets(targets, "targets", num_classes, class_names)
        self._inner = made._inner
        self._class_names = made._class_names

    @classmethod
    def _of(cls, core: _core.LabelSets, class_names: Iterable[str] | None = None) -> LabelSets:
        made = cls.__new__(cls)
        made._inner = core
        made._class_names = None if class_names is None else tuple(class_names)
        return made

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self._inner.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called, if they have names."""
        return self._class_names

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K), as of the array of 0 and 1."""
        return len(self), self.num_classes

    @property
    def multiplicities(self) -> NDArray[np.int64]:
        """The number of labels of each sample, [N]."""
        return self._inner.multiplicities()

    def counts(self) -> dict[tuple[int, ...], int]:
        """The distinct label sets, by multiplicity and then in order, with their numbers of samples.

        Examples
        --------
        >>> import tagwise
        >>> tagwise.LabelSets([[0, 1], [1], [0, 1]]).counts()
        {(1,): 1, (0, 1): 2}
        """
        return dict(zip(self.distinct(), self._inner.counts().tolist(), strict=True))

    def distinct(self) -> LabelSets:
        """The L distinct label sets, by multiplicity and then in order."""
        return LabelSets._of(self._inner.distinct(), self._class_names)

    def to_array(self, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
        """0 and 1, [N, K]."""
        return self._inner.to_array().astype(dtype, copy=False)

    def to_csr(self) -> Any:
        """A `scipy.sparse.csr_array` [N, K] of 1 in uint8; needs SciPy."""
        from scipy.sparse import csr_array

        labels, starts = self._inner.to_lists()
        return csr_array((np.ones(len(labels), dtype=np.uint8), labels, starts), shape=self.shape)

    def to_lists(self) -> list[list[int]]:
        """The class numbers of each sample, in order."""
        labels, starts = self._inner.to_lists()
        numbers, bounds = labels.tolist(), starts.tolist()
        return [numbers[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]

    def to_names(self) -> list[tuple[str, ...]]:
        """The class names of each sample; numbers as texts where classes have no names."""
        names = self._class_names or [str(label) for label in range(self.num_classes)]
        return [tuple(names[label] for label in labels) for labels in self.to_lists()]

    def to_bytes(self) -> bytes:
        """The label sets as the bytes of a safetensors file, without the names of the classes."""
        return self._inner.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> LabelSets:
        """What `to_bytes` gave."""
        return cls._of(_core.LabelSets.from_bytes(_settings.data(data)))

    def save(self, path: Any) -> None:
        """Writes the bytes to a file (.safetensors) that the command reads as targets, complete or not at all."""
        _settings.write(path, self.to_bytes())

    @classmethod
    def load(cls, path: Any, *, class_names: Sequence[str] | None = None) -> LabelSets:
        """What `save` wrote; it does not keep the names of the classes."""
        read = _settings.load(path, cls.from_bytes)
        return read if class_names is None else LabelSets(read, class_names=class_names)

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return map(tuple, self.to_lists())

    @overload
    def __getitem__(self, index: int) -> tuple[int, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> LabelSets: ...

    @overload
    def __getitem__(self, index: Any) -> Any: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            place = int(index) + (len(self) if index < 0 else 0)
            if not 0 <= place < len(self):
                raise IndexError(f"expected a sample below {len(self)}, found {index}")
            return self._inner.at(place)
        rows = np.arange(len(self), dtype=np.int64)[index]
        if rows.ndim != 1:
            raise IndexError(f"expected rows as numbers, a slice or booleans, found {index!r}")
        return LabelSets._of(self._inner.select(np.ascontiguousarray(rows)), self._class_names)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("label sets are no array: a copy cannot be avoided")
        return self.to_array(np.uint8 if dtype is None else dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelSets):
            return NotImplemented
        return self._class_names == other._class_names and self._inner == other._inner

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.to_bytes(), self._class_names)

    def __repr__(self) -> str:
        first = [str(labels) for labels in self[:_SHOWN]]
        more = ", …" if len(self) > _SHOWN else ""
        return f"LabelSets({len(self)} samples, {self.num_classes} classes: {', '.join(first)}{more})"


def _restore(data: bytes, class_names: tuple[str, ...] | None) -> LabelSets:
    return LabelSets._of(_core.LabelSets.from_bytes(data), class_names)


def label_sets(value: Any, name: str, num_classes: Any, class_names: Any) -> LabelSets:
    """Targets in any form as label sets; `name` is the argument that they are of."""
    names = _settings.names(class_names)
    classes = None if num_classes is None else _settings.whole("num_classes", num_classes, 1)
    if names is not None and classes is not None and len(names) != classes:
        raise TagwiseValueError(f"expected {classes} class names, one for each class, found {len(names)}")
    classes = len(names) if names is not None else classes
    try:
        core, own_names = _read(value, name, classes, names)
    except TagwiseError as error:
        if name == "targets" or f"`{name}`" in str(error):
            raise
        raise type(error)(f"`{name}`: {error}") from None
    if names is not None and num_classes is None and core.num_classes != len(names):
        raise TagwiseValueError(
            f"expected {core.num_classes} names in `class_names`, one for each class of `{name}`, found {len(names)}"
        )
    if classes is not None and core.num_classes != classes:
        raise TagwiseValueError(f"expected {classes} classes in `{name}`, found {core.num_classes}")
    if core.num_classes == 0:
        raise TagwiseValueError(f"expected a class at least in `{name}`, found none; say how many with num_classes")
    return LabelSets._of(core, own_names if names is None else names)


def _read(
    value: Any, name: str, num_classes: int | None, names: list[str] | None
) -> tuple[_core.LabelSets, Iterable[str] | None]:
    if isinstance(value, LabelSets):
        return value._inner, value.class_names
    if is_sparse(value):
        return _of_sparse(value, name), None
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        return _core.LabelSets.from_array(_numbers(value.to_numpy(), name)), _column_names(value)
    if hasattr(value, "iloc") and value.dtype == object:
        value = value.to_list()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUST":
        if value.dtype == object and value.ndim != 1:
            raise TagwiseTypeError(
                f"expected `{name}` of 0 and 1 as numbers, found an array of objects; convert it with .astype(int)"
            )
        value = value.tolist()
    if isinstance(value, (str, bytes, dict)):
        raise TagwiseTypeError(f"expected `{name}` as an array or a list for each sample, found {value!r}")
    if isinstance(value, np.ndarray) or is_tensor(value) or _is_array(value):
        return _of_array(as_array(value, name), name, num_classes), None
    if isinstance(value, Iterable):
        return _of_lists(list(value), name, num_classes, names)
    raise TagwiseTypeError(f"expected `{name}` as an array or a list for each sample, found {type(value).__name__}")


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or hasattr(value, "__dlpack__") or hasattr(value, "__array_interface__")


def _column_names(frame: Any) -> list[str] | None:
    columns = list(frame.columns)
    return columns if all(isinstance(column, str) for column in columns) else None


def _numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array in a type of the machine; which of its values are targets, the library says."""
    if array.dtype.kind not in "biuf":
        raise TagwiseTypeError(f"expected `{name}` of 0 and 1, found an array of {array.dtype}")
    if array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _of_array(array: NDArray[Any], name: str, num_classes: int | None) -> _core.LabelSets:
    array = _numbers(array, name)
    if array.ndim == 2:
        if array.shape[1] == 0:
            raise TagwiseValueError(f"expected `{name}` with a column for each class, found none")
        return _core.LabelSets.from_array(array if array.flags.aligned else array.copy())
    if array.ndim == 1 and array.dtype.kind in "iu":
        labels = array.astype(np.int64)
        return _core.LabelSets.from_lists(labels, np.arange(len(labels) + 1, dtype=np.int64), num_classes)
    raise TagwiseValueError(
        f"expected `{name}` [N, K] of 0 and 1, or [N] of class numbers, found {array.dtype} of shape {list(array.shape)}"
    )


def _of_sparse(value: Any, name: str) -> _core.LabelSets:
    check_sparse(value, name)
    rows = value.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    values = _numbers(rows.data, name)
    is_wrong = (values != 0) & (values != 1)
    if is_wrong.any():
        place = int(np.argmax(is_wrong))
        row = int(np.searchsorted(rows.indptr, place, side="right")) - 1
        column = int(rows.indices[place])
        raise TagwiseValueError(
            f"expected targets of 0 and 1, found {values[place]} at row {row}, column {column}"
        )
    kept = values != 0
    starts = np.concatenate([[0], np.cumsum(kept)])[rows.indptr]
    labels = rows.indices[kept].astype(np.int64)
    return _core.LabelSets.from_lists(labels, starts.astype(np.int64), int(rows.shape[1]))


def _of_lists(
    value: list[Any], name: str, num_classes: int | None, names: list[str] | None
) -> tuple[_core.LabelSets, Iterable[str] | None]:
    lists = [_labels(labels, name, sample) for sample, labels in enumerate(value)]
    flat = [label for labels in lists for label in labels]
    starts = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum([len(labels) for labels in lists], out=starts[1:])
    has_names = any(isinstance(label, str) for label in flat)
    if has_names:
        found, names = _named(lists, names)
    else:
        found = [int(label) for label in flat]
        if found and not -(1 << 63) <= min(found) <= max(found) < 1 << 63:
            raise TagwiseValueError(f"expected class numbers below 2**24 in `{name}`, found {max(found)}")
    core = _core.LabelSets.from_lists(
        np.array(found, dtype=np.int64), starts, len(names) if names is not None else num_classes
    )
    return core, names


def _labels(labels: Any, name: str, sample: int) -> list[Any]:
    """The labels of one sample; a single one stands for itself."""
    result = list(labels) if isinstance(labels, (list, tuple, set, frozenset)) else [labels]
    for label in result:
        is_number = isinstance(label, (int, np.integer)) and not isinstance(label, (bool, np.bool_))
        if not (is_number or isinstance(label, str)):
            raise TagwiseTypeError(
                f"expected lists of class numbers or names in `{name}`, found {type(label).__name__} in sample "
                f"{sample}; give rows of 0 and 1 as one array, with np.stack"
            )
    return result


def _named(lists: list[list[Any]], names: list[str] | None) -> tuple[list[int], list[str]]:
    """Class numbers of names, and what all the classes are called."""
    for sample, labels in enumerate(lists):
        for label in labels:
            if not isinstance(label, str):
                raise TagwiseTypeError(f"expected class names throughout, found the number {label} in sample {sample}")
    if names is None:
        names = sorted({label for labels in lists for label in labels})
    numbers = {label: number for number, label in enumerate(names)}
    found = []
    for sample, labels in enumerate(lists):
        for label in labels:
            if label not in numbers:
                some = ", ".join(names[:_SHOWN] + (["…"] if len(names) > _SHOWN else []))
                raise TagwiseValueError(
                    f"expected one of the {len(names)} class names ({some}), found {label!r} in sample {sample}"
                )
            found.append(numbers[label])
    return found, names
