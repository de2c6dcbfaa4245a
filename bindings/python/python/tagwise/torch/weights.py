"""How much samples count by their label set, and classes by their rarity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from tagwise.errors import TagwiseError, TagwiseValueError
from tagwise.torch._logits import as_hot, check_tensor, check_zero_one

__all__ = ["LabelSetWeights", "balanced_class_weight"]

#: Losses in which the labels of a sample compete, and those that are sums over labels.
COMPETING = ("pal", "pal-n", "zlpr")
SEPARABLE = ("bce", "focal", "asl")


class LabelSetWeights(nn.Module):
    """The weight of each sample by its label set, n_S^(−balance) times a factor, mean 1.

    ``balance=0`` treats all samples alike, 1 all label sets, as ``tagwise fit --balance``. Label
    sets that the targets do not hold have the weight ``unseen``. The look-up stays on the device
    and costs O(K + log L) for each sample.

    Parameters
    ----------
    targets
        Multi-hot targets ``[N, K]`` of the training set.
    balance
        Exponent of the number n_S of samples with label set S, at least 0.
    factors
        Factors of single label sets, for example ``{(0, 2): 3.0}``; at least 0.
    unseen
        Weight of label sets that occur nowhere in ``targets``.

    Raises
    ------
    ValueError
        For targets other than 0 and 1, a negative or infinite weight, and a factor of a label set
        that does not occur.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import LabelSetWeights
    >>> targets = torch.tensor([[1, 0], [1, 0], [1, 0], [1, 1]])
    >>> LabelSetWeights(targets, balance=1.0)(targets)  # 1/3 and 1, over their mean 1/2
    tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """

    keys: Tensor
    hashes: Tensor
    weights: Tensor

    def __init__(
        self,
        targets: Tensor,
        *,
        balance: float = 0.0,
        factors: Mapping[Iterable[int], float] | None = None,
        unseen: float = 1.0,
    ) -> None:
        super().__init__()
        check_tensor("targets", targets)
        if targets.ndim != 2 or targets.shape[0] == 0:
            raise TagwiseValueError(
                f"expected targets of shape [N, K] with a sample, found {list(targets.shape)}"
            )
        _check_weight("balance", balance)
        _check_weight("unseen", unseen)
        self.unseen = unseen
        targets = targets.cpu()
        check_zero_one(targets)
        sets, counts = torch.unique(as_hot(targets), dim=0, return_counts=True)
        weights = counts.double() ** -balance
        for labels, factor in (factors or {}).items():
            _check_weight("factors", factor)
            weights[_position(sets, labels)] *= factor
        mean = float((weights * counts).sum() / counts.sum())
        if mean == 0.0:
            raise TagwiseValueError("expected factors that leave a sample of weight above 0, found none")
        keys, hashes = _hashes(sets)
        order = hashes.argsort()
        self.register_buffer("keys", keys)
        self.register_buffer("hashes", hashes[order])
        self.register_buffer("weights", (weights[order] / mean).float())

    def forward(self, targets: Tensor) -> Tensor:
        """The weight of each sample, ``[...]`` for targets ``[..., K]``."""
        num_classes = self.keys.shape[0]
        if targets.ndim == 0 or targets.shape[-1] != num_classes:
            raise TagwiseValueError(
                f"expected targets of {num_classes} classes, found shape {list(targets.shape)}"
            )
        wanted = torch.where(as_hot(targets), self.keys, 0).sum(-1)
        position = torch.searchsorted(self.hashes, wanted).clamp(max=len(self.hashes) - 1)
        known = self.hashes[position] == wanted
        return torch.where(known, self.weights[position], self.unseen)


def balanced_class_weight(targets: Tensor, loss: str = "pal") -> Tensor:
    """Class weights ``[K]`` in f64 under which rare labels count as much as frequent ones.

    With n_k of N samples carrying label k: for losses in which labels compete (``"pal"``,
    ``"pal-n"``, ``"zlpr"``) c_k ∝ 1/n_k with mean 1 over all labels of all samples; for those that
    are sums over labels (``"bce"``, ``"focal"``, ``"asl"``) c_k = (N − n_k)/n_k. A class without
    samples has 1.

    Raises
    ------
    ValueError
        For another loss, and targets that are not ``[N, K]`` of 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import balanced_class_weight
    >>> targets = torch.tensor([[1, 0], [1, 0], [1, 0], [0, 1]])
    >>> balanced_class_weight(targets)  # 4/(2·3) and 4/(2·1)
    tensor([0.6667, 2.0000], dtype=torch.float64)
    """
    check_tensor("targets", targets)
    if targets.ndim != 2:
        raise TagwiseValueError(f"expected targets of shape [N, K], found {list(targets.shape)}")
    if loss not in (*COMPETING, *SEPARABLE):
        names = ", ".join((*COMPETING, *SEPARABLE))
        raise TagwiseValueError(f"expected a loss among {names}, found {loss!r}")
    check_zero_one(targets)
    counts = as_hot(targets).sum(0).double()
    occurs = counts > 0
    divisor = counts.clamp(min=1)
    if loss in SEPARABLE:
        weight = (len(targets) - counts).clamp(min=1) / divisor
    else:
        weight = counts.sum() / (occurs.sum() * divisor)
    return torch.where(occurs, weight, 1.0)


def _check_weight(name: str, value: float) -> None:
    if not 0.0 <= value < float("inf"):
        raise TagwiseValueError(f"expected {name} to be finite and at least 0, found {value}")


def _position(sets: Tensor, labels: Iterable[int]) -> int:
    labels = sorted(set(labels))
    num_classes = sets.shape[1]
    if labels and not 0 <= labels[0] <= labels[-1] < num_classes:
        raise TagwiseValueError(f"expected labels 0 to {num_classes - 1} in factors, found {labels}")
    hot = torch.zeros(num_classes, dtype=torch.bool)
    hot[labels] = True
    found = (sets == hot).all(1).nonzero()
    if len(found) == 0:
        raise TagwiseValueError(f"factors has the label set {labels}, which no sample of targets carries")
    return int(found[0, 0])


def _hashes(sets: Tensor) -> tuple[Tensor, Tensor]:
    """A random 64-bit key for each label, and the sum of keys of each label set, all different."""
    for seed in range(64):  # two of L sums agree with probability L²/2⁶⁵
        generator = torch.Generator().manual_seed(seed)
        keys = torch.randint(-(2**63), 2**63 - 1, sets.shape[1:], generator=generator)
        hashes = torch.where(sets, keys, 0).sum(-1)  # wraps around
        if len(set(hashes.tolist())) == len(hashes):
            return keys, hashes
    raise TagwiseError("no keys were found that tell the label sets apart")
