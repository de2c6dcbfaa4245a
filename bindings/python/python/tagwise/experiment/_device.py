"""The device that PyTorch computes on, and its memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tagwise.errors import TagwiseError, TagwiseValueError
from tagwise.torch._frozen import precision_places

#: The oldest PyTorch that this is tested with.
OLDEST = (2, 6)


def open_device(name: str) -> torch.device:
    """A device that is there, for sure.

    Raises
    ------
    TagwiseValueError
        One sentence that says what is missing.
    """
    found = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise TagwiseValueError(f"expected PyTorch {oldest} or newer, found {torch.__version__}")
    if name == "cpu":
        return torch.device("cpu")
    advice = "use the device torch-cpu or cpu"
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise TagwiseValueError(
                f"expected an Apple GPU for the device mps, found none that PyTorch {torch.__version__} can use; {advice}"
            )
        return torch.device("mps")
    count = _num_gpus(advice)
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise TagwiseValueError(f"expected one of the {count} GPUs cuda:0 to cuda:{count - 1}, found {name}")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _num_gpus(advice: str) -> int:
    """How many GPUs there are, at least one."""
    kind = "CUDA" if torch.version.hip is None else "ROCm"
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        raise TagwiseValueError(
            f"expected a PyTorch that is built for GPUs, found {torch.__version__}, which is not; {advice}"
        )
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:  # no driver, an old driver, no device: PyTorch says which
        said = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise TagwiseValueError(
            f"expected a GPU that PyTorch {torch.__version__} can use by {kind}, found none ({said}); {advice}"
        ) from None
    return torch.cuda.device_count()


def described(device: torch.device) -> str:
    """The device for people."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)}), PyTorch {torch.__version__}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"torch-cpu with {threads} thread{'' if threads == 1 else 's'}, PyTorch {torch.__version__}"
    return f"{device}, PyTorch {torch.__version__}"


def full_precision() -> None:
    """Products of f32 numbers in f32 from now on: no TF32, which falsifies NC1."""
    torch.set_float32_matmul_precision("highest")
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):  # before PyTorch 2.9
        backends.cudnn.allow_tf32 = False
        return
    for place in precision_places():
        place.fp32_precision = "ieee"


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be taken, where somebody tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    try:
        with open("/proc/meminfo", encoding="ascii") as table:
            line = next(line for line in table if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return None


def needed_memory(opened: dict[str, Any]) -> int:
    """About what a run takes on the device: images, tensors four times, activations of one batch.

    Training keeps the output of every convolution and of every norm, half as large in bf16; a backward pass has
    about the largest of them in flight several times. Evaluation is in f32 and keeps none.
    """
    blueprint = opened["blueprint"]
    image = 1
    for side in ("height", "width", "channels"):
        image *= blueprint["input"][side]
    parameters = 0
    for tensor in opened["tensors"]:
        count = 1
        for side in tensor["shape"]:
            count *= side
        parameters += count
    outputs = [_output(convolution) for block in blueprint["blocks"] for convolution in _convolutions(block)]
    size = 2 if opened["precision"] == "bf16" else 4
    training = opened["batch_size"] * size * (2 * sum(outputs) + 4 * max(outputs, default=0))
    evaluation = opened["evaluation_batch_size"] * 4 * 4 * max(outputs, default=0)
    batches = 4 * image * max(opened["batch_size"], opened["evaluation_batch_size"])
    return int(sum(opened["images"]) * image + 16 * parameters + max(training, evaluation) + 2 * batches)


def _convolutions(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["kind"] == "convolution":
        yield block
    elif block["kind"] == "residual":
        yield from block["body"]
        if block.get("projection"):
            yield block["projection"]


def _output(convolution: dict[str, Any]) -> int:
    stride = convolution["stride"]
    rows, columns = (-(-convolution[side] // stride) for side in ("in_height", "in_width"))
    return int(rows * columns * convolution["out_channels"])


def expect_room(needed: int, device: torch.device, opened: dict[str, Any]) -> None:
    """Refuses a run that the device has no memory for."""
    available = available_memory(device)
    if available is not None and needed > available:
        raise TagwiseValueError(
            f"this run takes about {needed / 1e9:.1f} GB of the memory of {device}, {available / 1e9:.1f} GB are "
            f"available; try a smaller training.batch_size (now {opened['batch_size']})"
        )


@contextmanager
def in_one_sentence(device: torch.device, batch_size: int) -> Iterator[None]:
    """Turns what a device says when it has no memory left into one sentence."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise TagwiseError(
            f"{device} ran out of memory with {batch_size} images in a step; try a smaller training.batch_size or "
            "evaluation.batch_size, or end what else uses it"
        ) from None
