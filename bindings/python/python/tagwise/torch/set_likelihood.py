"""The likelihood of whole label sets: which labels, and how many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagwise.errors import TagwiseTypeError, TagwiseValueError
from tagwise.torch._logits import (
    Reduction,
    as_hot,
    check_tensor,
    class_factors,
    may_look_at,
    prepare,
    reduce,
)
from tagwise.torch.functional import binary_cross_entropy_loss
from tagwise.torch.losses import LOSSES, MultilabelLoss
from tagwise.torch.weights import LabelSetWeights

__all__ = ["SetLikelihoodLoss", "set_likelihood_loss"]


def set_likelihood_loss(
    outputs: Tensor,
    targets: Tensor,
    *,
    multiplicities: Tensor | None = None,
    reduction: Reduction = "mean",
    class_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """−log p(S) with p(S) = exp(Σ_{k∈S} z_k + c_m)/Z for sets of m ≤ M labels.

    Z = Σ_j e^{c_j}·e_j(e^z) with the elementary symmetric polynomials e_j, computed in log space in
    O(log K) steps. A softmax is blind to a shift of all logits, which tells one label from two; the
    potentials c_0, …, c_M say how likely each number of labels is. With all sets allowed and c = 0,
    the default, this is binary cross-entropy.

    Parameters
    ----------
    outputs
        Logits ``[..., K]``, or ``[..., K + M + 1]`` with numbers behind them that are added to c:
        potentials that depend on the sample.
    targets
        ``[..., K]``, 0 and 1.
    multiplicities
        c, shape ``[M + 1]``; sets of more than M labels have probability 0.
    class_weight
        ``[K]``: a sample counts as the mean of c_k over its labels, once without a label.

    Raises
    ------
    ValueError
        As :func:`tagwise.torch.functional.pick_all_labels_loss`; on the CPU also for a set of more
        than M labels. Elsewhere such a set costs the largest number of the type.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import set_likelihood_loss
    >>> only_one = torch.tensor([-1e4, 0.0])  # sets of one label
    >>> set_likelihood_loss(torch.zeros(1, 3), torch.tensor([[0, 1, 0]]), multiplicities=only_one)  # log 3
    tensor(1.0986)

    References
    ----------
    Swersky et al. 2012, "Cardinality restricted Boltzmann machines", for the potentials.
    """
    check_tensor("outputs", outputs)
    check_tensor("targets", targets)
    if targets.ndim == 0 or outputs.ndim == 0:
        raise TagwiseValueError("expected outputs and targets with a dimension of classes, found none")
    num_classes = targets.shape[-1]
    potentials = _checked(multiplicities, num_classes)
    logits, extra = outputs[..., :num_classes], outputs[..., num_classes:]
    if potentials is None and extra.shape[-1] == 0:
        each = binary_cross_entropy_loss(logits, targets, reduction="none")
        z = prepare(logits, targets, reduction)
    else:
        z = prepare(logits, targets, reduction)
        each = _negative_log_likelihood(z, as_hot(targets), _added(potentials, extra, z))
    factors = class_factors(class_weight, z)
    if factors is not None:
        each = each * _mean_weight(as_hot(targets), factors)
    return reduce(each, reduction, sample_weight)


class SetLikelihoodLoss(MultilabelLoss):
    """The likelihood of whole label sets, with learned potentials of how many labels there are.

    See :func:`set_likelihood_loss`. Its ``multiplicities`` ``[M + 1]`` are parameters: give them to the
    optimiser beside the network's. Without ``max_multiplicity`` there are none, and the loss is
    binary cross-entropy.

    Parameters
    ----------
    max_multiplicity
        M, the largest number of labels of a sample.
    reduction, class_weight, set_weight
        As for every :class:`MultilabelLoss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import SetLikelihoodLoss
    >>> loss = SetLikelihoodLoss(max_multiplicity=2)
    >>> loss(torch.zeros(1, 3), torch.tensor([[1, 1, 0]]))  # log of 1 + 3 + 3 sets
    tensor(1.9459, grad_fn=<DivBackward0>)
    >>> loss.most_probable(torch.tensor([[2.0, 1.0, -3.0]]))
    tensor([[ True,  True, False]])
    """

    multiplicities: nn.Parameter | None

    def __init__(
        self,
        max_multiplicity: int | None = None,
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        set_weight: LabelSetWeights | None = None,
    ) -> None:
        super().__init__(reduction=reduction, class_weight=class_weight, set_weight=set_weight)
        if max_multiplicity is not None and max_multiplicity < 0:
            raise TagwiseValueError(
                f"expected max_multiplicity of at least 0, found {max_multiplicity}"
            )
        self.max_multiplicity = max_multiplicity
        zeros = None if max_multiplicity is None else torch.zeros(max_multiplicity + 1)
        self.register_parameter("multiplicities", None if zeros is None else nn.Parameter(zeros))

    def most_probable(self, outputs: Tensor) -> Tensor:
        """The most probable set of each sample as booleans ``[..., K]``, exactly.

        For each m the m largest logits win, and the best m has the largest Σ z + c_m. Outputs are
        logits ``[..., K]``; of ``[..., K + M + 1]`` give ``outputs[..., :K] `` and add the rest to
        ``multiplicities`` yourself.
        """
        with torch.no_grad():
            ordered, order = outputs.sort(-1, descending=True)
            scores = F.pad(ordered.cumsum(-1), (1, 0))  # [..., K + 1], of the best m labels
            if self.multiplicities is not None:
                most = min(len(self.multiplicities), scores.shape[-1])
                scores = scores[..., :most] + self.multiplicities[:most]
            best = scores.argmax(-1, keepdim=True)
            ranks = torch.arange(outputs.shape[-1], device=outputs.device).expand_as(order)
            return torch.zeros_like(outputs, dtype=torch.bool).scatter(-1, order, ranks < best)

    def _function(self) -> Callable[..., Tensor]:
        return set_likelihood_loss

    def _options(self) -> dict[str, Any]:
        return {"multiplicities": self.multiplicities}

    def extra_repr(self) -> str:
        """Its options, for ``print(model)``."""
        return f"max_multiplicity={self.max_multiplicity}, reduction={self.reduction!r}"


LOSSES["set-likelihood"] = SetLikelihoodLoss


def _checked(multiplicities: Tensor | None, num_classes: int) -> Tensor | None:
    if multiplicities is None:
        return None
    check_tensor("multiplicities", multiplicities)
    if not multiplicities.is_floating_point():
        raise TagwiseTypeError(
            f"expected multiplicities of a floating-point type, found {multiplicities.dtype}"
        )
    if multiplicities.ndim != 1 or not 1 <= len(multiplicities) <= num_classes + 1:
        raise TagwiseValueError(
            f"expected multiplicities of shape [M + 1] with M from 0 to {num_classes}, found "
            f"{list(multiplicities.shape)}"
        )
    return multiplicities


def _added(potentials: Tensor | None, extra: Tensor, z: Tensor) -> Tensor:
    """c of every sample, ``[M + 1]`` or ``[..., M + 1]``."""
    if extra.shape[-1] == 0:
        assert potentials is not None
        return potentials.to(z)
    if potentials is None or extra.shape[-1] != len(potentials):
        expected = "0" if potentials is None else f"0 or {len(potentials)}"
        raise TagwiseValueError(
            f"expected outputs of the {z.shape[-1]} classes and {expected} multiplicities, found "
            f"{extra.shape[-1]} numbers behind the logits"
        )
    return potentials.to(z) + extra.to(z)


def _negative_log_likelihood(z: Tensor, hot: Tensor, potentials: Tensor) -> Tensor:
    most = potentials.shape[-1] - 1
    sizes = hot.sum(-1)
    if may_look_at(sizes):
        _check_sizes(sizes, most)
    log_counts = log_symmetric(z, most)  # [..., M + 1]
    log_partition = torch.logsumexp(log_counts + potentials, -1)
    own = potentials.expand_as(log_counts).gather(-1, sizes.clamp(max=most).unsqueeze(-1))
    score = torch.where(hot, _bounded(z), 0.0).sum(-1) + own.squeeze(-1)
    return torch.where(sizes <= most, log_partition - score, torch.finfo(z.dtype).max)


def _check_sizes(sizes: Tensor, most: int) -> None:
    try:
        largest = int(sizes.max()) if sizes.numel() > 0 else 0
    except RuntimeError:  # inside vmap no value can be read
        return
    if largest > most:
        raise TagwiseValueError(
            f"expected label sets of at most {most} labels, which have a probability, found {largest}"
        )


def _lowest(z: Tensor) -> float:
    """The logarithm of nothing: K of them still have a sum."""
    return torch.finfo(z.dtype).min / (4 * max(z.shape[-1], 1))


def _bounded(z: Tensor) -> Tensor:
    return z.clamp(min=_lowest(z))


def log_symmetric(z: Tensor, most: int) -> Tensor:
    """log e_j(exp z) for j = 0 to M, ``[..., M + 1]``: the coefficients of Π_k (1 + t·e^{z_k}), whose
    factors are multiplied pairwise."""
    lowest, z = _lowest(z), _bounded(z)
    factors = torch.stack([torch.zeros_like(z), z], -1)  # [..., K, 2]
    while factors.shape[-2] > 1:
        if factors.shape[-2] % 2 == 1:
            one = torch.full_like(factors[..., :1, :], lowest)
            factors = torch.cat([factors, F.pad(one[..., 1:], (1, 0))], -2)
        factors = _log_product(factors[..., 0::2, :], factors[..., 1::2, :], most, lowest)
    return factors[..., 0, : most + 1]


def _log_product(left: Tensor, right: Tensor, most: int, lowest: float) -> Tensor:
    """The product of polynomials, up to degree M, of logarithms of coefficients ``[..., a]``."""
    length = left.shape[-1]
    powers = torch.arange(min(2 * length - 1, most + 1), device=left.device).unsqueeze(1)
    partner = powers - torch.arange(length, device=left.device)  # [powers, a]
    exists = (partner >= 0) & (partner < length)
    others = torch.where(exists, right[..., partner.clamp(0, length - 1)], lowest)
    return torch.logsumexp(left.unsqueeze(-2) + others, -1)


def _mean_weight(hot: Tensor, factors: Tensor) -> Tensor:
    """The mean of c_k over the labels of a set, 1 for an empty one."""
    sizes = hot.sum(-1)
    total = torch.where(hot, factors, 0.0).sum(-1)
    return torch.where(sizes > 0, total / sizes.clamp(min=1), 1.0)
