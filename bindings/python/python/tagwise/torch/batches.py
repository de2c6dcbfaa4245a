"""What a loader yields, as a monitor reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from tagwise.errors import TagwiseValueError

__all__ = ["Batch", "Indexed", "read_batch"]


@dataclass(frozen=True)
class Batch:
    """One batch: what the model is called with, the targets, and which samples these are."""

    #: Unnamed arguments of the model.
    args: tuple[Any, ...]
    #: Targets ``[B, K]`` of 0 and 1, class numbers ``[B]``, or whatever :class:`tagwise.Statistics` takes.
    targets: Any
    #: Position of each sample in its data set, ``[B]``, if samples may come twice.
    indices: Any = None
    #: Named arguments of the model.
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def read_batch(batch: Any) -> Batch:
    """Reads ``(inputs, targets)``, ``(inputs, targets, indices)`` or a mapping.

    In a mapping ``labels`` (or ``targets``) are the targets and ``indices``, if there, the samples'
    positions; everything else goes to the model by name, as in Hugging Face's loops.

    Raises
    ------
    ValueError
        For anything else: pass ``batch=`` a function that returns a :class:`Batch`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import read_batch
    >>> read_batch({"pixels": torch.zeros(2, 3), "labels": torch.ones(2, 1)}).kwargs.keys()
    dict_keys(['pixels'])
    """
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, Mapping):
        given = dict(batch)
        indices = given.pop("indices", None)
        for name in ("labels", "targets"):
            if name in given:
                targets = given.pop(name)
                return Batch((), targets, indices, given)
        raise TagwiseValueError(
            f"expected a batch with labels or targets, found the keys {sorted(map(str, given))}; "
            "pass batch=, a function that returns a tagwise.torch.Batch"
        )
    if isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)) and len(batch) in (2, 3):
        return Batch((batch[0],), batch[1], batch[2] if len(batch) == 3 else None)
    found = f"{type(batch).__name__}"
    if isinstance(batch, Sequence):
        found += f" of {len(batch)}"
    raise TagwiseValueError(
        f"expected a batch (inputs, targets), (inputs, targets, indices) or a mapping, found {found}; "
        "pass batch=, a function that returns a tagwise.torch.Batch"
    )


class Indexed(Dataset[Any]):
    """A data set of ``(inputs, targets)`` whose items carry their position as a third entry.

    With it a monitor counts samples once that a sampler repeats, as ``DistributedSampler`` does to
    give every process the same number.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from tagwise.torch import Indexed
    >>> Indexed(TensorDataset(torch.zeros(2, 3), torch.ones(2, 1)))[1][2]
    1
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        if isinstance(item, Mapping):
            return {**item, "indices": index}
        return (*item, index)


def to_device(value: Any, device: torch.device) -> Any:
    """Every tensor in nested tuples, lists and mappings on this device."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(part, device) for part in value))
    if isinstance(value, (tuple, list)):
        return type(value)(to_device(part, device) for part in value)
    if isinstance(value, Mapping):
        return {key: to_device(part, device) for key, part in value.items()}
    return value


def index_array(indices: Any, num_samples: int) -> NDArray[np.int64]:
    """Positions of samples as integers.

    Raises
    ------
    ValueError
        Unless there is one that is at least 0 for each sample.
    """
    if isinstance(indices, Tensor):
        indices = indices.cpu().numpy()
    array = np.asarray(indices)
    if array.shape != (num_samples,) or array.dtype.kind not in "iu" or (array < 0).any():
        raise TagwiseValueError(
            f"expected indices of {num_samples} samples, integers of at least 0, found shape "
            f"{list(array.shape)} of {array.dtype}"
        )
    return array.astype(np.int64)
