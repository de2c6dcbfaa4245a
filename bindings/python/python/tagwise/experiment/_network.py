"""The networks of an experiment as PyTorch modules, from their description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: PyTorch's own, which the description promises.
MOMENTUM, EPSILON = 0.1, 1e-5


class Network(nn.Module):
    """Blocks one after another, the mean over all pixels as the features, and a linear classifier.

    Its tensors have torchvision's names. A bias before a norm shifts the mean and cancels: in training it is not
    added but moves the running mean, and its gradient is zero, as in the engine of the command.

    Parameters
    ----------
    blueprint
        The description, as ``Blueprint`` of crate ``tagwise-nn`` writes it.
    """

    def __init__(self, blueprint: dict[str, Any]) -> None:
        super().__init__()
        self._blocks: list[Callable[[Tensor], Tensor]] = []
        self._biased: list[tuple[nn.Parameter, nn.BatchNorm2d]] = []
        for block in blueprint["blocks"]:
            self._blocks.append(self._block(block))
        head = blueprint["classifier"]
        classifier = nn.Linear(head["feature_dim"], head["num_classes"])
        classifier.weight.requires_grad_(head["kind"] == "learned")
        self._place(head["name"], classifier)
        self._classifier = [classifier]  # in a list, so that it is registered once

    @property
    def classifier(self) -> nn.Linear:
        """The last layer."""
        return self._classifier[0]

    @property
    def idle_biases(self) -> list[nn.Parameter]:
        """Biases that no gradient reaches; they decay like all parameters."""
        return [bias for bias, _ in self._biased]

    def activations(self, x: Tensor) -> Tensor:
        """What the features are the mean of, ``[B, d, h, w]``."""
        for block in self._blocks:
            x = block(x)
        return x

    def head(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B, d]`` and logits ``[B, K]``, both in f32."""
        features = activations.float().mean((2, 3))
        return features, self.classifier(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of images ``[B, channels, height, width]``."""
        return self.head(self.activations(x))

    @torch.no_grad()
    def move_means(self) -> None:
        """Adds what the biases before norms would have added to the running means, after a pass in training mode."""
        if self._biased:
            means = [norm.get_buffer("running_mean") for _, norm in self._biased]
            torch._foreach_add_(means, [bias.detach() for bias in self.idle_biases], alpha=MOMENTUM)

    def _block(self, block: dict[str, Any]) -> Callable[[Tensor], Tensor]:
        if block["kind"] == "max-pool":
            return lambda x: F.max_pool2d(x, 2)
        if block["kind"] == "convolution":
            layer = self._convolution(block)
            return lambda x: F.relu(layer(x))
        body = [self._convolution(convolution) for convolution in block["body"]]
        projection = self._convolution(block["projection"]) if block.get("projection") else None

        def residual(x: Tensor) -> Tensor:
            y = x
            for number, layer in enumerate(body):
                y = layer(y if number == 0 else F.relu(y))
            return F.relu(y + (x if projection is None else projection(x)))

        return residual

    def _convolution(self, given: dict[str, Any]) -> Callable[[Tensor], Tensor]:
        side, stride = given["kernel"], given["stride"]
        conv = nn.Conv2d(
            given["in_channels"], given["out_channels"], side, stride, side // 2, bias=given["bias"] == "with"
        )
        norm = nn.BatchNorm2d(given["out_channels"], eps=EPSILON, momentum=MOMENTUM)
        self._place(given["name"], conv)
        self._place(given["norm"], norm)
        if conv.bias is not None:
            self._biased.append((conv.get_parameter("bias"), norm))

        def layer(x: Tensor) -> Tensor:
            bias = None if self.training else conv.bias
            z = F.conv2d(x, conv.weight, bias, stride, side // 2)
            return F.batch_norm(
                z, norm.running_mean, norm.running_var, norm.weight, norm.bias, self.training, MOMENTUM, EPSILON
            )

        return layer

    def _place(self, name: str, module: nn.Module) -> None:
        """Registers a module under a dotted name."""
        parent: nn.Module = self
        *path, last = name.split(".")
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, nn.Module())
            parent = getattr(parent, part)
        parent.add_module(last, module)
