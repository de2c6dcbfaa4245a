"""Arrays of any library as what the compiled part reads, copied only where it must be.

Nothing here imports torch, SciPy or pandas: their objects are known by what they can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import TagwiseTypeError, TagwiseValueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .labels import LabelSets

#: Compressed sparse rows: starts [N + 1], columns, values, d.
SparseParts = tuple[Any, Any, Any, int]


def as_features(value: Any, name: str = "features") -> NDArray[Any] | SparseParts:
    """Features [N, d] as rows of f16, f32 or f64, or as the parts of compressed sparse rows.

    Arrays of these types whose rows are contiguous are passed on as they are, whatever the distance
    between rows; other layouts are copied, whole numbers and booleans become f64.
    """
    if is_sparse(value):
        return _sparse_features(value, name)
    array = as_array(value, name)
    check_dimensions(array, name, 2, "[N, d]")
    array = _floating(array, name)
    return array if _has_packed_rows(array) else array.copy(order="C")


def as_targets(
    value: Any,
    name: str = "targets",
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> LabelSets:
    """Targets in any form as label sets, see `tagwise.LabelSets`."""
    from .labels import label_sets

    return label_sets(value, name, num_classes, class_names)


def as_matrix(value: Any, name: str, shape: str = "[K, d]") -> NDArray[np.float64]:
    """A matrix in f64, row after row."""
    if is_sparse(value):
        value = value.toarray()
    array = as_array(value, name)
    check_dimensions(array, name, 2, shape)
    return np.require(_floating(array, name), np.float64, ("C", "A"))


def as_vector(value: Any, name: str, shape: str = "[K]") -> NDArray[np.float64]:
    """A list of numbers in f64."""
    array = as_array(value, name)
    check_dimensions(array, name, 1, shape)
    return np.require(_floating(array, name), np.float64, ("C", "A"))


def as_classifier(
    weight: Any, bias: Any
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """A weight [K, d] and a bias [K], where they are given."""
    return (
        None if weight is None else as_matrix(weight, "weight"),
        None if bias is None else as_vector(bias, "bias"),
    )


def is_sparse(value: Any) -> bool:
    """Whether it is a matrix or an array of SciPy's sparse ones."""
    return hasattr(value, "tocsr") and hasattr(value, "nnz")


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch."""
    return hasattr(value, "detach") and hasattr(value, "cpu") and hasattr(value, "numpy")


def as_array(value: Any, name: str) -> NDArray[Any]:
    """A NumPy array of what holds numbers, without a copy where both agree on the memory."""
    if isinstance(value, np.ndarray):
        if hasattr(value, "mask"):
            raise TagwiseTypeError(f"expected `{name}` without a mask, found a masked array; fill it first")
        return value
    if is_tensor(value):
        return _of_tensor(value, name)
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError) as error:
            raise TagwiseTypeError(f"expected `{name}` in the memory of the processor: {error}") from error
    if isinstance(value, (list, tuple)):
        try:
            return np.asarray(value)
        except ValueError:
            raise TagwiseValueError(f"expected `{name}` as rows of equal length, found others") from None
    raise TagwiseTypeError(f"expected `{name}` as an array, found {type(value).__name__}")


def check_dimensions(array: NDArray[Any], name: str, expected: int, shape: str) -> None:
    """Refuses arrays of other dimensions."""
    if array.ndim != expected:
        found = f"{array.ndim} dimensions, {list(array.shape)}" if array.ndim else "a single value"
        raise TagwiseValueError(f"expected `{name}` of shape {shape}, found {found}")


def _of_tensor(value: Any, name: str) -> NDArray[Any]:
    if "strided" not in str(getattr(value, "layout", "strided")):
        raise TagwiseTypeError(f"expected `{name}` as a dense tensor, found {value.layout}; call .to_dense()")
    tensor = value.detach()
    try:
        if "bfloat16" in str(tensor.dtype):
            tensor = tensor.float()
        return np.asarray(tensor.cpu().numpy())
    except (NotImplementedError, RuntimeError, TypeError) as error:
        raise TagwiseTypeError(f"expected `{name}` as a tensor of numbers in memory: {error}") from error


def _floating(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array in f16, f32 or f64 of this machine's byte order."""
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize <= 8:
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if kind in "biuf":
        return array.astype(np.float64)
    if array.size == 0 and kind != "c":
        return array.astype(np.float64)
    raise TagwiseTypeError(f"expected `{name}` of numbers, found an array of {array.dtype}")


def _has_packed_rows(array: NDArray[Any]) -> bool:
    """Whether each row is contiguous, rows do not overlap and numbers are aligned."""
    if not array.flags.aligned:
        return False
    size = array.dtype.itemsize
    row_bytes, step = array.strides
    is_packed = step == size or array.shape[1] <= 1
    has_stride = row_bytes >= array.shape[1] * size and row_bytes % size == 0
    return is_packed and (has_stride or array.shape[0] <= 1)


def _sparse_features(value: Any, name: str) -> SparseParts:
    check_sparse(value, name)
    rows = value.tocsr()
    values = rows.data
    if values.dtype not in (np.float32, np.float64) or not values.dtype.isnative:
        values = _floating(values, name).astype(np.float64)
    return (
        np.require(rows.indptr, np.int64, ("C", "A")),
        _columns(rows.indices, rows.shape[1], name),
        np.require(values, None, ("C", "A")),
        int(rows.shape[1]),
    )


def check_sparse(value: Any, name: str) -> None:
    """Refuses sparse arrays of one dimension."""
    if len(value.shape) != 2:
        raise TagwiseValueError(f"expected a sparse `{name}` of two dimensions, found {list(value.shape)}")


def _columns(indices: NDArray[Any], num_columns: int, name: str) -> NDArray[np.uint32]:
    if num_columns > 1 << 32:
        raise TagwiseValueError(f"expected a sparse `{name}` of at most 2**32 columns, found {num_columns}")
    if indices.size and int(indices.min()) < 0:
        raise TagwiseValueError(f"expected column numbers of at least 0 in `{name}`, found {indices.min()}")
    if indices.dtype == np.int32:
        return np.require(indices, None, ("C", "A")).view(np.uint32)
    return np.require(indices, np.uint32, ("C", "A"))
