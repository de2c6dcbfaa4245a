"""One run as its process sees it: requests of the command, each a method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import _modes
from ._device import described, expect_room, full_precision, in_one_sentence, needed_memory, open_device
from ._frames import Frames
from ._trainer import Trainer

Answer = tuple[dict[str, Any], tuple[NDArray[Any], ...]]

#: The names of the data sets in the order of `opened["images"]`.
SPLITS = ("train", "validation", "test")


class Session:
    """Device, network and images of a run.

    Parameters
    ----------
    opened
        The first request: the network's description, how it is trained, and where.
    """

    #: Methods that may be asked for.
    REQUESTS = (
        "images",
        "prepare",
        "learn",
        "steps",
        "extract",
        "state",
        "load_state",
        "velocities",
        "load_velocities",
        "classifier",
    )

    def __init__(self, opened: dict[str, Any]) -> None:
        self._opened = opened
        self._device = open_device(opened["device"])
        self._num_images = dict(zip(SPLITS, opened["images"], strict=True))
        self._needed = needed_memory(opened)
        expect_room(self._needed, self._device, opened)
        full_precision()
        torch.backends.cudnn.benchmark = True
        with self._watched():
            self._trainer = Trainer(opened, self._device)
        self._losses: Iterator[list[float]] = iter(())

    def opened(self) -> Answer:
        """What the first request is answered."""
        return {"memory": self._needed}, ()

    def images(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Takes the images of a data set, and the label sets that are learned."""
        split = request["split"]
        images = np.empty((self._num_images[split], *self._trainer.shape), dtype=np.uint8)
        frames.read_into(images)
        with self._watched():
            self._trainer.set_images(split, images)
            if request["targets"]:
                targets = frames.read(request["targets"], "u1").reshape(-1, self._trainer.num_classes)
                self._trainer.set_targets(targets)
        return {}, ()

    def prepare(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Chooses how steps are run; the answer says where and how the run computes."""
        self._trainer.set_objective(request["objective"])
        with self._watched():
            mode = _modes.choose(self._trainer, self._opened["mode"])
        precision = self._opened["precision"]
        return {
            "device": f"{described(self._device)}, trains in {precision}, measures in f32, no TF32, steps {mode}"
        }, ()

    def learn(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Begins an epoch."""
        order = frames.read(request["samples"], "u4").astype(np.int64)
        rates = frames.read(request["steps"], "f8")
        if self._trainer.set_objective(request["objective"]):
            with self._watched():
                _modes.choose(self._trainer, self._opened["mode"])
        self._losses = self._trainer.learn(order, rates, request["batch_size"])
        return {}, ()

    def steps(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Makes some steps of the epoch; the losses of some."""
        with self._watched():
            losses = next(self._losses)
        return {}, (np.array(losses, dtype=np.float64),)

    def extract(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Features and logits of some images of a data set."""
        with self._watched():
            features, logits = self._trainer.extract(request["split"], request["first"], request["batch_size"])
        return {"images": len(features)}, (features, logits)

    def state(self, request: dict[str, Any], frames: Frames) -> Answer:
        """All tensors of the network."""
        return {}, (self._trainer.state(),)

    def load_state(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Takes over all tensors of the network."""
        self._trainer.load_state(frames.read(request["bytes"] // 4, "f4"))
        return {}, ()

    def velocities(self, request: dict[str, Any], frames: Frames) -> Answer:
        """The momentum of every trained parameter."""
        return {}, (self._trainer.velocities(),)

    def load_velocities(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Takes over the momentum of every trained parameter."""
        self._trainer.load_velocities(frames.read(request["bytes"] // 4, "f4"))
        return {}, ()

    def classifier(self, request: dict[str, Any], frames: Frames) -> Answer:
        """Weight and bias of the last layer."""
        name = self._opened["blueprint"]["classifier"]["name"]
        return {}, (self._trainer.state([f"{name}.weight", f"{name}.bias"]),)

    def _watched(self) -> Any:
        return in_one_sentence(self._device, self._opened["batch_size"])
