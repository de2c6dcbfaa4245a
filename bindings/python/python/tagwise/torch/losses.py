"""The losses of Tagwise as modules; :mod:`tagwise.torch.functional` has their formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tagwise.errors import TagwiseValueError
from tagwise.torch import functional
from tagwise.torch._logits import REDUCTIONS, Reduction, check_tensor
from tagwise.torch.functional import Weighting, check_exponent, check_margin
from tagwise.torch.weights import LabelSetWeights

__all__ = [
    "AsymmetricLoss",
    "BinaryCrossEntropyLoss",
    "FocalLoss",
    "LOSSES",
    "MultilabelLoss",
    "PickAllLabelsLoss",
    "ZlprLoss",
    "named_loss",
]


class MultilabelLoss(nn.Module):
    """A loss of logits ``[..., K]`` and multi-hot targets ``[..., K]``, 0 and 1 of any type.

    Parameters
    ----------
    reduction
        ``"mean"``: Σ w·loss / Σ w over the samples; ``"sum"``: Σ w·loss; ``"none"``: each sample's.
    class_weight
        ``[K]``, positive: what label k costs by being in the set counts c_k-fold. A buffer, so it
        moves with the module.
    set_weight
        The weight of each sample by its label set, see :class:`LabelSetWeights`.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        set_weight: LabelSetWeights | None = None,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise TagwiseValueError(f"expected reduction to be one of {REDUCTIONS}, found {reduction!r}")
        self.reduction: Reduction = reduction
        self.register_buffer("class_weight", _positive(class_weight))
        self.set_weight = set_weight

    def forward(
        self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """The loss, reduced; ``sample_weight`` has one number for each sample."""
        if self.set_weight is not None:
            by_set = self.set_weight(targets)
            sample_weight = by_set if sample_weight is None else by_set * sample_weight
        return self._function()(
            logits,
            targets,
            reduction=self.reduction,
            class_weight=self.class_weight,
            sample_weight=sample_weight,
            **self._options(),
        )

    def _function(self) -> Callable[..., Tensor]:
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        return {}

    def extra_repr(self) -> str:
        """Its options, for ``print(model)``."""
        options = {**self._options(), "reduction": self.reduction}
        return ", ".join(f"{name}={value!r}" for name, value in options.items())


class PickAllLabelsLoss(MultilabelLoss):
    """Pick-all-labels cross-entropy: PAL (``weighting="sum"``) or PAL-N (``"mean"``).

    See :func:`tagwise.torch.functional.pick_all_labels_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import PickAllLabelsLoss
    >>> loss = PickAllLabelsLoss(weighting="mean")
    >>> loss(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))  # log 4
    tensor(1.3863)
    """

    def __init__(
        self,
        weighting: Weighting = "sum",
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        set_weight: LabelSetWeights | None = None,
    ) -> None:
        super().__init__(reduction=reduction, class_weight=class_weight, set_weight=set_weight)
        if weighting not in ("sum", "mean"):
            raise TagwiseValueError(f"expected weighting to be 'sum' or 'mean', found {weighting!r}")
        self.weighting: Weighting = weighting

    def _function(self) -> Callable[..., Tensor]:
        return functional.pick_all_labels_loss

    def _options(self) -> dict[str, Any]:
        return {"weighting": self.weighting}


class BinaryCrossEntropyLoss(MultilabelLoss):
    """Binary cross-entropy summed over the classes.

    See :func:`tagwise.torch.functional.binary_cross_entropy_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import BinaryCrossEntropyLoss
    >>> BinaryCrossEntropyLoss()(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))  # 4 log 2
    tensor(2.7726)
    """

    def _function(self) -> Callable[..., Tensor]:
        return functional.binary_cross_entropy_loss


class FocalLoss(MultilabelLoss):
    """Focal loss summed over the classes.

    See :func:`tagwise.torch.functional.focal_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import FocalLoss
    >>> FocalLoss(gamma=2.0)(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))  # log 2
    tensor(0.6931)
    """

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        set_weight: LabelSetWeights | None = None,
    ) -> None:
        super().__init__(reduction=reduction, class_weight=class_weight, set_weight=set_weight)
        check_exponent("gamma", gamma)
        self.gamma = gamma

    def _function(self) -> Callable[..., Tensor]:
        return functional.focal_loss

    def _options(self) -> dict[str, Any]:
        return {"gamma": self.gamma}


class AsymmetricLoss(MultilabelLoss):
    """Asymmetric loss (ASL) summed over the classes.

    See :func:`tagwise.torch.functional.asymmetric_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import AsymmetricLoss
    >>> AsymmetricLoss()(torch.zeros(1, 2), torch.tensor([[1, 0]]))
    tensor(0.7177)
    """

    def __init__(
        self,
        gamma_positive: float = 0.0,
        gamma_negative: float = 4.0,
        margin: float = 0.05,
        *,
        reduction: Reduction = "mean",
        class_weight: Tensor | None = None,
        set_weight: LabelSetWeights | None = None,
    ) -> None:
        super().__init__(reduction=reduction, class_weight=class_weight, set_weight=set_weight)
        check_exponent("gamma_positive", gamma_positive)
        check_exponent("gamma_negative", gamma_negative)
        check_margin(margin)
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.margin = margin

    def _function(self) -> Callable[..., Tensor]:
        return functional.asymmetric_loss

    def _options(self) -> dict[str, Any]:
        return {
            "gamma_positive": self.gamma_positive,
            "gamma_negative": self.gamma_negative,
            "margin": self.margin,
        }


class ZlprLoss(MultilabelLoss):
    """Zero-bounded log-sum-exp and pairwise rank-based loss (ZLPR).

    See :func:`tagwise.torch.functional.zlpr_loss`.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import ZlprLoss
    >>> ZlprLoss()(torch.zeros(1, 4), torch.tensor([[1, 1, 0, 0]]))  # 2 log 3
    tensor(2.1972)
    """

    def _function(self) -> Callable[..., Tensor]:
        return functional.zlpr_loss


#: Every loss under its short name, with the parameters that its authors recommend.
LOSSES: dict[str, Callable[..., MultilabelLoss]] = {
    "pal": lambda **options: PickAllLabelsLoss("sum", **options),
    "pal-n": lambda **options: PickAllLabelsLoss("mean", **options),
    "bce": BinaryCrossEntropyLoss,
    "focal": FocalLoss,
    "asl": AsymmetricLoss,
    "zlpr": ZlprLoss,
}


def named_loss(name: str, **options: Any) -> MultilabelLoss:
    """The loss of this short name, as the ``tagwise`` command has it.

    Raises
    ------
    ValueError
        For another name.

    Examples
    --------
    >>> from tagwise.torch import named_loss
    >>> named_loss("pal-n", reduction="sum")
    PickAllLabelsLoss(weighting='mean', reduction='sum')
    """
    if name not in LOSSES:
        raise TagwiseValueError(f"expected a loss among {', '.join(LOSSES)}, found {name!r}")
    return LOSSES[name](**options)


def _positive(class_weight: Tensor | None) -> Tensor | None:
    if class_weight is None:
        return None
    check_tensor("class_weight", class_weight)
    if class_weight.ndim != 1 or not bool(((class_weight > 0) & class_weight.isfinite()).all()):
        raise TagwiseValueError(
            "expected class_weight of shape [K] with finite numbers greater than 0, found "
            f"{class_weight.tolist()}"
        )
    return class_weight.detach().clone()
