"""Statistics of several processes as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from tagwise import Statistics
from tagwise.errors import TagwiseValueError
from tagwise.torch.batches import Batch, index_array

__all__ = ["is_distributed", "merge_statistics"]


def is_distributed(group: dist.ProcessGroup | None = None) -> bool:
    """Whether there is more than one process to merge with."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def merge_statistics(
    statistics: Statistics, group: dist.ProcessGroup | None = None
) -> Statistics:
    """The statistics of all processes together, the same on each of them.

    Every process calls it with its own part. States travel as bytes and are merged pairwise, in
    ⌈log₂ P⌉ rounds, in f64; the first process sends the result to the others. The order of merging
    depends on the ranks alone, so the result does not change from run to run. Without
    ``torch.distributed`` the part is the whole.

    Raises
    ------
    ValueError
        When the parts disagree about the number of classes, the dimension or the scatter.
    """
    if not is_distributed(group):
        return statistics
    merged = statistics.copy()
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    device = _device(group)
    step = 1
    while step < world:
        if rank % (2 * step) == step:
            _send(merged.to_bytes(), rank - step, device, group)
            break
        if rank % (2 * step) == 0 and rank + step < world:
            merged.merge(Statistics.from_bytes(_receive(rank + step, device, group)))
        step *= 2
    return Statistics.from_bytes(_broadcast(merged.to_bytes() if rank == 0 else b"", device, group))


def counted_once(
    batches: Iterable[Batch], group: dist.ProcessGroup | None = None
) -> Iterator[tuple[Batch, NDArray[np.bool_] | None]]:
    """Each batch with the rows that no process has seen before; ``None`` for all of them.

    Where batches say which samples they hold, all processes go through theirs in step and tell each
    other; who has none left goes on listening. Of a sample that comes twice in one step the one on
    the lower rank counts.

    Raises
    ------
    ValueError
        When some batches have indices and others have not.
    """
    iterator = iter(batches)
    first = next(iterator, None)
    has_indices = None if first is None else first.indices is not None
    answers = gather(has_indices, group) if is_distributed(group) else [has_indices]
    told = {answer for answer in answers if answer is not None}
    if len(told) > 1:
        raise _mixed_indices()
    stream = iterator if first is None else chain([first], iterator)
    if told != {True}:
        for batch in stream:
            if batch.indices is not None:
                raise _mixed_indices()
            yield batch, None
        return
    seen = SeenSamples()
    while True:
        coming = next(stream, None)
        own = None if coming is None else _indices_of(coming)
        everyone = gather(own, group) if is_distributed(group) else [own]
        if all(indices is None for indices in everyone):
            return
        rank = dist.get_rank(group) if is_distributed(group) else 0
        masks = [None if indices is None else seen.add(indices) for indices in everyone]
        if coming is not None:
            yield coming, masks[rank]


class SeenSamples:
    """Which positions of a data set have come by: one byte each."""

    def __init__(self) -> None:
        self._seen = np.zeros(0, np.bool_)

    def add(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each comes for the first time."""
        most = int(indices.max(initial=-1)) + 1
        if most > len(self._seen):
            self._seen = np.pad(self._seen, (0, max(most, 2 * len(self._seen)) - len(self._seen)))
        is_first = np.zeros(len(indices), np.bool_)
        is_first[np.unique(indices, return_index=True)[1]] = True
        is_new = is_first & ~self._seen[indices]
        self._seen[indices] = True
        return is_new


def gather(value: Any, group: dist.ProcessGroup | None) -> list[Any]:
    """What every process gives, in the order of their ranks."""
    values: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(values, value, group=group)
    return values


def same_buffers(parts: Iterable[torch.nn.parallel.DistributedDataParallel]) -> None:
    """Gives every process the buffers of the first, as the next training step would: running means
    of batch normalisation differ between processes after a step."""
    for part in parts:
        if part.broadcast_buffers and is_distributed(part.process_group):
            source = dist.get_global_rank(part.process_group, 0)
            for buffer in part.module.buffers():
                dist.broadcast(buffer, source, group=part.process_group)


def _indices_of(batch: Batch) -> NDArray[np.int64]:
    if batch.indices is None:
        raise _mixed_indices()
    return index_array(batch.indices, len(batch.targets))


def _mixed_indices() -> TagwiseValueError:
    return TagwiseValueError("expected indices in every batch or in none, found some with and some without")


def _device(group: dist.ProcessGroup | None) -> torch.device:
    """Where a backend takes tensors from."""
    if dist.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _send(data: bytes, to: int, device: torch.device, group: dist.ProcessGroup | None) -> None:
    target = to if group is None else dist.get_global_rank(group, to)
    dist.send(torch.tensor([len(data)], device=device), target, group=group)
    dist.send(_tensor(data).to(device), target, group=group)


def _receive(sender: int, device: torch.device, group: dist.ProcessGroup | None) -> bytes:
    source = sender if group is None else dist.get_global_rank(group, sender)
    size = torch.zeros(1, dtype=torch.int64, device=device)
    dist.recv(size, source, group=group)
    data = torch.zeros(int(size), dtype=torch.uint8, device=device)
    dist.recv(data, source, group=group)
    return _bytes(data)


def _broadcast(data: bytes, device: torch.device, group: dist.ProcessGroup | None) -> bytes:
    source = 0 if group is None else dist.get_global_rank(group, 0)
    size = torch.tensor([len(data)], device=device)
    dist.broadcast(size, source, group=group)
    tensor = _tensor(data) if data else torch.zeros(int(size), dtype=torch.uint8)
    tensor = tensor.to(device)
    dist.broadcast(tensor, source, group=group)
    return _bytes(tensor)


def _tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().numpy().tobytes()
