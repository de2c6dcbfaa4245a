"""Sums of features on their device, precise enough to tell collapse."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagwise import LabelSets, Statistics
from tagwise.errors import TagwiseValueError


class DeviceSums:
    """Σ(h − r_S) per label set S and Σ(h − r_S)(h − r_S)ᵀ per multiplicity, with r_S the first row of S.

    Sums of squares around 0 in f32 fail exactly where collapse happens: at σ/‖μ‖ = 1e-4 nothing is
    left of the spread. Shifted by one row of their own label set, rows are as small as their
    spread, and products in f32 keep their digits. The accumulators are f64 where the device has it;
    the end, δ_S = Σ(h − r_S)/n_S, mean r_S + δ_S and scatter Σ − Σ_S n_S·δ_S·δ_Sᵀ, is computed in
    f64 on the host.
    """

    def __init__(self, num_classes: int, dim: int, scatter: str) -> None:
        self.num_classes = num_classes
        self.dim = dim
        self.scatter = scatter
        self._ids: dict[tuple[int, ...], int] = {}
        self._counts: list[int] = []
        self._references: Tensor | None = None  # [capacity, d]
        self._sums: Tensor | None = None  # [capacity, d]
        self._squares: Tensor | None = None  # [capacity]
        self._products: dict[int, Tensor] = {}  # multiplicity -> [d, d]

    def update(self, features: Tensor, targets: Any) -> None:
        """Adds rows ``[B, d]`` on any device, with targets on the host."""
        if features.shape[1] != self.dim:
            raise TagwiseValueError(
                f"expected features of {self.dim} dimensions, found {features.shape[1]}"
            )
        sets = LabelSets(targets, num_classes=self.num_classes)
        ids = np.fromiter((self._id(labels) for labels in sets), np.int64, len(sets))
        self._make_room(features)
        assert self._references is not None
        self._remember_first_rows(features, ids)
        np.add.at(counts := np.zeros(len(self._ids), np.int64), ids, 1)
        self._counts = [old + int(new) for old, new in zip(self._counts, counts, strict=True)]
        where = torch.from_numpy(ids).to(features.device, non_blocking=True)
        shifted = features - self._references[where]  # [B, d]
        self._add(shifted, where)
        if self.scatter == "full":
            self._add_products(shifted, np.asarray(sets.multiplicities))

    def _id(self, labels: tuple[int, ...]) -> int:
        if labels not in self._ids:
            self._ids[labels] = len(self._ids)
            self._counts.append(0)
        return self._ids[labels]

    def _make_room(self, features: Tensor) -> None:
        """Room for every label set known so far, doubled when it is full."""
        have = 0 if self._references is None else len(self._references)
        need = len(self._ids)
        if need <= have:
            return
        capacity = max(16, 2 * have, need)
        wide = torch.float32 if features.device.type == "mps" else torch.float64
        shapes = [((self.dim,), features.dtype), ((self.dim,), wide), ((), wide)]
        old = [self._references, self._sums, self._squares]
        grown = []
        for (shape, dtype), tensor in zip(shapes, old, strict=True):
            larger = torch.zeros((capacity, *shape), dtype=dtype, device=features.device)
            if tensor is not None:
                larger[:have] = tensor
            grown.append(larger)
        self._references, self._sums, self._squares = grown

    def _remember_first_rows(self, features: Tensor, ids: NDArray[np.int64]) -> None:
        assert self._references is not None
        distinct, first = np.unique(ids, return_index=True)
        is_new = np.array([self._counts[i] == 0 for i in distinct], dtype=bool)
        if is_new.any():
            device = features.device
            where = torch.from_numpy(distinct[is_new]).to(device, non_blocking=True)
            rows = torch.from_numpy(first[is_new]).to(device, non_blocking=True)
            self._references[where] = features[rows].to(self._references.dtype)

    def _add(self, shifted: Tensor, where: Tensor) -> None:
        assert self._sums is not None and self._squares is not None
        wide = shifted.to(self._sums.dtype)
        self._sums.index_add_(0, where, wide)
        self._squares.index_add_(0, where, wide.square().sum(1))

    def _add_products(self, shifted: Tensor, multiplicities: NDArray[np.int64]) -> None:
        for multiplicity in np.unique(multiplicities):
            if multiplicity == 0:
                continue  # unlabelled samples take part in no metric
            rows = torch.from_numpy(np.flatnonzero(multiplicities == multiplicity))
            part = shifted[rows.to(shifted.device, non_blocking=True)]
            product = part.T @ part  # [d, d], in the precision of the features
            known = self._products.get(int(multiplicity))
            if known is None:
                assert self._sums is not None
                self._products[int(multiplicity)] = product.to(self._sums.dtype)
            else:
                known += product

    def statistics(self) -> Statistics:
        """The state as the library keeps it."""
        return Statistics.from_bytes(self._to_bytes())

    def _to_bytes(self) -> bytes:
        order = sorted(self._ids, key=lambda labels: (len(labels), labels))
        rows = [self._ids[labels] for labels in order]
        counts = np.array([self._counts[row] for row in rows], np.uint64)
        references, sums, squares = (self._on_host(part, rows) for part in self._parts())
        delta = sums / np.maximum(counts, 1)[:, None].astype(np.float64)
        means = references + delta
        spread = squares - counts * np.square(delta).sum(1)
        tensors: dict[str, NDArray[Any]] = {
            "label_sets.labels": np.array([label for labels in order for label in labels], np.uint32),
            "label_sets.offsets": np.cumsum([0, *map(len, order)], dtype=np.uint64),
            "counts": counts,
            "square_sums": np.maximum(spread, 0.0),
            "means": means,
            "means_low": (references - means) + delta,
        }
        for multiplicity, product in self._products.items():
            of_sets = [i for i, labels in enumerate(order) if len(labels) == multiplicity]
            shift = delta[of_sets] * np.sqrt(counts[of_sets].astype(np.float64))[:, None]
            scatter = product.cpu().double().numpy() - shift.T @ shift
            np.fill_diagonal(scatter, np.maximum(scatter.diagonal(), 0.0))
            tensors[f"scatter.{multiplicity}"] = scatter[np.tril_indices(self.dim)]
        return _safetensors(tensors, {
            "format": "tagwise statistics",
            "version": "1",
            "num_classes": str(self.num_classes),
            "dim": str(self.dim),
            "scatter": self.scatter,
        })

    def _parts(self) -> list[Tensor]:
        if self._references is None or self._sums is None or self._squares is None:
            empty = torch.zeros((0, self.dim))
            return [empty, empty, empty[:, 0]]
        return [self._references, self._sums, self._squares]

    @staticmethod
    def _on_host(part: Tensor, rows: list[int]) -> NDArray[np.float64]:
        return part.cpu().double().numpy()[rows]


#: Names of NumPy's types in the header of a safetensors file.
_NAMES = {"uint32": "U32", "uint64": "U64", "float64": "F64"}


def _safetensors(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> bytes:
    """The format of saved statistics, which has no other way in: a header in JSON, then numbers."""
    widest_first = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in widest_first:
        begin, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _NAMES[tensors[name].dtype.name],
            "shape": list(tensors[name].shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = [np.ascontiguousarray(tensors[name]).tobytes() for name in widest_first]
    return b"".join([struct.pack("<Q", len(text)), text, *parts])
