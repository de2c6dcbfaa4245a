"""What a network trained with the set likelihood learns beside its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tagwise.torch.set_likelihood import log_symmetric

MULTIPLICITIES, WEIGHT, SETS = "potentials.multiplicities", "potentials.weight", "potentials.sets.values"


class Potentials(nn.Module):
    """Potentials of multiplicities, numbers or linear in the features, and of the label sets seen in training.

    Parameters
    ----------
    described
        Names and shapes of the ``tensors``, whether the potentials of multiplicities are learned, and the seen ``sets``.
    num_classes
        K.
    """

    def __init__(self, described: dict[str, Any], num_classes: int) -> None:
        super().__init__()
        shapes = {tensor["name"]: tensor["shape"] for tensor in described["tensors"]}
        self.multiplicities = _zeros(shapes[MULTIPLICITIES], is_learned=described["learns_multiplicities"])
        self.weight = _zeros(shapes[WEIGHT]) if WEIGHT in shapes else None
        self.sets = _zeros(shapes[SETS])
        seen = torch.zeros(len(described["sets"]), num_classes)
        for row, labels in zip(seen, described["sets"], strict=True):
            row[labels] = 1.0
        self.register_buffer("seen", seen, persistent=False)
        self.seen: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name, in the order of the command."""
        named = {MULTIPLICITIES: self.multiplicities, WEIGHT: self.weight, SETS: self.sets}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def loss(self, features: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean of −log p(S) of a batch, in f64 where the device has it."""
        wide = torch.float32 if logits.device.type == "mps" else torch.float64
        z, hot = logits.to(wide), targets.to(wide)  # [B, K]
        potentials = self.multiplicities.to(wide)
        if self.weight is not None:
            potentials = potentials + features.to(wide) @ self.weight.to(wide).T  # [B, M + 1]
        potentials = potentials.expand(len(z), -1)
        sizes = targets.sum(-1).long()
        log_counts = log_symmetric(z, potentials.shape[-1] - 1)
        log_partition = torch.logsumexp(log_counts + potentials, -1)
        score = (z * hot).sum(-1) + potentials.gather(-1, sizes.unsqueeze(-1)).squeeze(-1)
        if len(self.seen) > 0:
            seen, theta = self.seen.to(wide), self.sets.to(wide)
            seen_sizes = seen.sum(-1)
            own = (hot @ seen.T == seen_sizes) & (sizes.unsqueeze(-1) == seen_sizes)  # [B, sets]
            score = score + (own.to(wide) * theta).sum(-1)
            before = z @ seen.T + potentials[:, seen_sizes.long()] - log_partition.unsqueeze(-1)
            log_partition = log_partition + _log_corrected(before, theta)
        return (log_partition - score).mean()


def _log_corrected(before: Tensor, theta: Tensor) -> Tensor:
    """log(1 + Σ_T e^{r_T}·(e^{θ_T} − 1)) of the seen sets' logarithms r ``[B, sets]`` of what they were worth.

    Where seen sets have nearly all of the sum and lose it, rounding may leave less than what they keep.
    """
    largest = (before + theta).amax(-1).clamp(min=0.0).detach()
    after = (before + theta - largest.unsqueeze(-1)).exp()
    change = (after - (before - largest.unsqueeze(-1)).exp()).sum(-1)
    return largest + torch.maximum((-largest).exp() + change, after.sum(-1)).log()


def _zeros(shape: list[int], is_learned: bool = True) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape), requires_grad=is_learned)
