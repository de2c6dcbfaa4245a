"""Training and measuring on a device, for the command that plans both."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagwise.errors import TagwiseValueError

from ._network import Network
from ._objective import Objective
from ._potentials import Potentials

#: Steps are queued for about so long before their losses are looked at.
SLICE = 0.2


class Trainer:
    """A network with its optimiser and all images on one device.

    Nothing here chooses anything of the experiment: order, learning rates, weights and objective are the command's.
    """

    def __init__(self, opened: dict[str, Any], device: torch.device) -> None:
        self.device = device
        self.autocast = opened["precision"] == "bf16"
        self.batch_size: int = opened["batch_size"]
        self.network = Network(opened["blueprint"]).to(device).to(memory_format=torch.channels_last)
        tensors = dict(self.network.named_parameters()) | dict(self.network.named_buffers())
        self.tensors: dict[str, Tensor] = {spec["name"]: tensors[spec["name"]] for spec in opened["tensors"]}
        self.trained: dict[str, Tensor] = {
            name: tensor for name, tensor in self.tensors.items() if tensor.requires_grad
        }
        self.rate = torch.zeros((), device=device)
        described = opened.get("potentials")
        self.potentials: Potentials | None = None
        #: The same shapes as the potentials, where there are no steps for these.
        self._at_rest: dict[str, Tensor] = {}
        if described is not None:
            num_classes: int = opened["blueprint"]["classifier"]["num_classes"]
            self.potentials = Potentials(described, num_classes).to(device)
            for name, tensor in self.potentials.tensors().items():
                self.tensors[name] = tensor
                if tensor.requires_grad and tensor.numel() > 0:
                    self.trained[name] = tensor
                else:
                    self._at_rest[name] = torch.zeros_like(tensor)
        self.optimizer = _sgd(list(self.trained.values()), opened, self.rate, device)
        for bias in self.network.idle_biases:
            bias.grad = torch.zeros_like(bias)
        self._idle = {id(bias) for bias in self.network.idle_biases}
        blueprint = opened["blueprint"]
        self.shape = [blueprint["input"][side] for side in ("height", "width", "channels")]
        self.num_classes: int = blueprint["classifier"]["num_classes"]
        self.dim: int = blueprint["classifier"]["feature_dim"]
        scale = opened["scale"]
        # As tensors of the device: a division by a number of the host may become a product with its inverse.
        self._white = torch.tensor(float(scale["white"]), device=device)
        self._mean = _channels(scale["mean"], device)
        self._std = _channels(scale["std"], device)
        self.images: dict[str, Tensor] = {}
        self.targets = torch.empty(0, device=device)
        self.objective: Objective | None = None
        self._of_objective: dict[str, Any] = {}
        self.run_step: Callable[[Tensor], Tensor] = self.step

    def set_images(self, split: str, images: NDArray[np.uint8]) -> None:
        """Puts images ``[N, height, width, channels]`` on the device."""
        self.images[split] = torch.from_numpy(images).to(self.device)

    def set_targets(self, targets: NDArray[np.uint8]) -> None:
        """Puts the label sets of the training images on the device, ``[N, K]``."""
        self.targets = torch.from_numpy(targets).to(self.device).float()

    def set_objective(self, objective: dict[str, Any]) -> bool:
        """Takes an objective; False where it is the one that it has."""
        if objective == self._of_objective:
            return False
        self.objective, self._of_objective = Objective(objective, self.potentials), objective
        return True

    def scaled(self, images: Tensor) -> Tensor:
        """Bytes ``[B, height, width, channels]`` as the network takes them, ``[B, channels, height, width]``."""
        x = images.float() / self._white
        if self._mean is not None and self._std is not None:
            x = (x - self._mean) / self._std
        return x.permute(0, 3, 1, 2)  # in memory the channels stay last

    def loss(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch, and the objective with the decay of its features."""
        assert self.objective is not None
        x = self.scaled(self.images["train"].index_select(0, indices))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast, cache_enabled=False):
            activations = self.network.activations(x)
        features, logits = self.network.head(activations)
        return self.objective(features, logits, self.targets.index_select(0, indices))

    def step(self, indices: Tensor) -> Tensor:
        """One step of the optimiser at the rate in `rate`; the mean loss before it, on the device."""
        return self.step_by(self.loss, indices)

    def step_by(self, loss_of: Callable[[Tensor], tuple[Tensor, Tensor]], indices: Tensor) -> Tensor:
        """The same with a loss that may be compiled."""
        loss, objective = loss_of(indices)
        if self.device.type == "cpu" and not loss.isfinite():
            return loss.detach()
        objective.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.network.move_means()
        for parameter in self.trained.values():
            if id(parameter) not in self._idle:
                parameter.grad = None
        return loss.detach()

    def learn(self, order: NDArray[np.int64], rates: NDArray[np.float64], batch_size: int) -> Iterator[list[float]]:
        """Makes the steps of an epoch and gives their losses, some at a time.

        On a GPU the next steps are queued before the losses of the last are waited for, so that it is never idle.
        """
        self.network.train()
        queue: deque[Pending] = deque()
        on_device = torch.from_numpy(order).to(self.device)
        all_rates = torch.from_numpy(rates.astype(np.float32)).to(self.device)
        depth = 2 if self.device.type == "cuda" else 0
        first, count = 0, 1
        while first < len(rates):
            begin = time.perf_counter()
            steps = range(first, min(first + count, len(rates)))
            losses = []
            for step in steps:
                indices = on_device[step * batch_size : (step + 1) * batch_size]
                self.rate.copy_(all_rates[step])
                run = self.run_step if len(indices) == self.batch_size else self.step
                losses.append(run(indices).clone())
            queue.append(Pending(torch.stack(losses), self.device))
            first = steps.stop
            while len(queue) > depth or (queue and first == len(rates)):
                yield queue.popleft().wait()
            took = time.perf_counter() - begin
            # Towards the length of a slice, at most twice as many at a time.
            count = int(min(2 * count, max(1, count * SLICE / max(took, 1e-6))))

    @torch.no_grad()
    def extract(self, split: str, first: int, batch_size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features and logits of some images from `first` on, with the network in evaluation mode, in f32."""
        self.network.eval()
        images, begin = self.images[split], time.perf_counter()
        found: list[tuple[Tensor, Tensor]] = []
        while first < len(images) and (not found or time.perf_counter() - begin < SLICE) and len(found) < 64:
            found.append(self.network(self.scaled(images[first : first + batch_size])))
            first += batch_size
        features, logits = (torch.cat(parts).float().cpu().numpy() for parts in zip(*found, strict=True))
        return features, logits

    def state(self, names: list[str] | None = None) -> NDArray[np.float32]:
        """The tensors of these names one after another."""
        return _flat([self.tensors[name] for name in names or self.tensors])

    def load_state(self, numbers: NDArray[np.float32]) -> None:
        """Takes over all tensors."""
        _unflat(list(self.tensors.values()), numbers)

    def velocities(self) -> NDArray[np.float32]:
        """The momentum of every trained parameter."""
        return _flat(self._velocities())

    def load_velocities(self, numbers: NDArray[np.float32]) -> None:
        """Takes over the momentum of every trained parameter."""
        _unflat(self._velocities(), numbers)

    def _velocities(self) -> list[Tensor]:
        of_network = [name for name in self.trained if self.potentials is None or name not in self.potentials.tensors()]
        of_potentials = [] if self.potentials is None else list(self.potentials.tensors())
        return [
            self._at_rest[name] if name in self._at_rest else self.optimizer.state[self.tensors[name]]["momentum_buffer"]
            for name in of_network + of_potentials
        ]

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Steps in it leave no trace."""
        kept = [*self.tensors.values(), *self._velocities(), self.rate]
        before = [tensor.detach().clone() for tensor in kept]
        try:
            self.rate.zero_()
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(kept, before, strict=True):
                    tensor.copy_(value)


class Pending:
    """Losses on their way to the host."""

    def __init__(self, losses: Tensor, device: torch.device) -> None:
        self._event: torch.cuda.Event | None = None
        if device.type == "cuda":
            self._losses = torch.empty(losses.shape, dtype=losses.dtype, pin_memory=True)
            self._losses.copy_(losses, non_blocking=True)
            self._event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._losses = losses

    def wait(self) -> list[float]:
        """The losses, once they are there."""
        if self._event is not None:
            self._event.synchronize()
        return [float(loss) for loss in self._losses.cpu().double()]


def _sgd(
    parameters: list[Tensor], settings: dict[str, Any], rate: Tensor, device: torch.device
) -> torch.optim.SGD:
    """SGD whose rate is a tensor on the device, with velocities at rest."""
    try:
        optimizer = torch.optim.SGD(
            parameters,
            lr=rate,
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
            fused=True,
        )
    except RuntimeError as error:
        raise TagwiseValueError(f"PyTorch {torch.__version__} has no fused SGD on {device.type}: {error}") from None
    for parameter in parameters:
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _channels(numbers: list[float], device: torch.device) -> Tensor | None:
    return torch.tensor(numbers, device=device) if numbers else None


@torch.no_grad()
def _flat(tensors: list[Tensor]) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = torch.cat([tensor.contiguous().reshape(-1) for tensor in tensors]).cpu().numpy()
    return numbers


@torch.no_grad()
def _unflat(tensors: list[Tensor], numbers: NDArray[np.float32]) -> None:
    start = 0
    for tensor in tensors:
        part = torch.from_numpy(numbers[start : start + tensor.numel()])
        tensor.copy_(part.reshape(tensor.shape))
        start += tensor.numel()
