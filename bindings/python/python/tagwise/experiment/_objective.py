"""What a step lowers, from the words of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tagwise.errors import TagwiseValueError
from tagwise.torch import functional
from tagwise.torch.set_likelihood import set_likelihood_loss

from ._potentials import Potentials


class Objective:
    """The mean loss of the logits, and beside it the same with the decay of the features.

    Parameters
    ----------
    settings
        ``loss``, ``feature_decay`` and ``feature_decay_reduction`` as in an experiment file.
    potentials
        What is learned beside the logits, whose loss it then is.
    """

    def __init__(self, settings: dict[str, Any], potentials: Potentials | None = None) -> None:
        self._potentials = potentials
        self._loss = _loss(dict(settings["loss"]))
        self._decay: float = settings["feature_decay"]
        self._reduction: str = settings["feature_decay_reduction"]

    def __call__(self, features: Tensor, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both, of features ``[B, d]``, logits and targets ``[B, K]``."""
        if self._potentials is not None:
            loss = self._potentials.loss(features, logits, targets)
        else:
            loss = self._loss(logits, targets)
        if self._decay == 0.0:
            return loss, loss
        decay = features.square().sum() * self._decay
        return loss, loss + (decay / len(features) if self._reduction == "mean" else decay)


def _loss(settings: dict[str, Any]) -> Callable[..., Tensor]:
    name = settings.pop("name")
    if name == "set-likelihood":
        most = settings.get("max_multiplicity")
        return set_likelihood_loss if most is None else partial(_limited, most)
    losses: dict[str, Callable[..., Tensor]] = {
        "pick-all-labels": functional.pick_all_labels_loss,
        "binary-cross-entropy": functional.binary_cross_entropy_loss,
        "focal": functional.focal_loss,
        "asymmetric": functional.asymmetric_loss,
        "zlpr": functional.zlpr_loss,
    }
    if name not in losses:
        raise TagwiseValueError(f"expected a loss among {', '.join(losses)} or set-likelihood, found {name!r}")
    return partial(losses[name], **settings)


def _limited(most: int, logits: Tensor, targets: Tensor) -> Tensor:
    """Sets of at most so many labels, all equally likely but for their logits."""
    potentials = torch.zeros(min(most, logits.shape[-1]) + 1, device=logits.device)
    return set_likelihood_loss(logits, targets, multiplicities=potentials)
