"""How far a network has collapsed, from inside a training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tagwise import CollapseReport, Statistics
from tagwise.errors import TagwiseError, TagwiseTypeError, TagwiseValueError
from tagwise.torch._absorb import DeviceAbsorber, HostAbsorber, to_numpy
from tagwise.torch._capture import Capture, FeatureCapture, Pool
from tagwise.torch._frozen import frozen
from tagwise.torch._modules import distributed_parts, find_module, linear_weights, unwrapped
from tagwise.torch.batches import Batch, read_batch, to_device
from tagwise.torch.distributed import (
    counted_once,
    gather,
    is_distributed,
    merge_statistics,
    same_buffers,
)

__all__ = ["CollapseMeasurement", "CollapseMonitor"]


@dataclass(frozen=True)
class CollapseMeasurement:
    """What a monitor measured: a :class:`tagwise.CollapseReport` with where it comes from.

    Everything that the report has is here too: ``measurement.nc1``, ``measurement.verdicts``,
    ``measurement.to_dict()``.
    """

    #: The metrics with their verdicts.
    report: CollapseReport
    #: What they were measured on; merges with that of other parts.
    statistics: Statistics
    #: ``"frozen"``: one network saw all samples. ``"online"``: the network changed meanwhile.
    mode: Literal["frozen", "online"]
    #: What a reader must know about the measurement.
    cautions: tuple[str, ...] = ()

    def scalars(self, prefix: str = "") -> dict[str, float]:
        """The metrics that have a value, by names that every tracker takes: ``nc1_m1``, ``nc_m2``.

        Names have no ``@`` and no slash; a prefix with one, such as ``"collapse/"``, groups them.
        """
        return self.report.scalars(prefix)

    def __str__(self) -> str:
        lines = [str(self.report)]
        if self.mode == "online":
            lines.append("Measured online: the features come from networks of different steps.")
        lines.extend(f"Caution: {caution}." for caution in self.cautions)
        return "\n".join(lines)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "report" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.report, name)


class CollapseMonitor:
    """Measures neural collapse of a network where it trains.

    The monitor listens to one module and copies its features as they pass; the library sums them in
    f64. It finds the module by name also when the model is compiled or wrapped in DDP, FSDP or PEFT.

    Parameters
    ----------
    model
        The network; what ``loader``'s inputs are given to.
    features
        Name of the module whose output is the feature ``[B, d]`` (``[B, d, 1, 1]`` after global
        pooling is one too), or the module itself. Left out, the feature is what the classifier is
        given.
    classifier
        Name of the last layer, or the layer itself, inside the model or not: NC2 and NC3 compare its
        weight ``[K, d]`` with the means.
    capture
        ``"output"`` or ``"input"`` of that module.
    pool
        How the module's output becomes one row for each sample, for example
        ``lambda output: output.last_hidden_state[:, 0]``.
    num_classes
        K, where neither the classifier nor targets ``[B, K]`` tell it.
    sums
        ``"host"``: features go to the host as they are. ``"device"``: they are summed where they are,
        around one row of their own label set, and the sums go to the host once; for features too
        many to move.
    scatter
        ``"full"`` keeps d² numbers for each multiplicity, which NC1 needs; ``"trace"`` one number
        for each label set.
    batch
        How a batch is read; :func:`read_batch` unless given.
    group
        The processes that measure together; all of them unless given.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from tagwise.torch import CollapseMonitor
    >>> targets = torch.eye(3).repeat(8, 1)
    >>> loader = DataLoader(TensorDataset(targets + 0.01 * torch.randn(24, 3), targets), batch_size=8)
    >>> net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(3, 3))
    >>> monitor = CollapseMonitor(net, features="0", classifier="1")
    >>> monitor.measure(loader).nc1[1] < 0.01
    True
    """

    def __init__(
        self,
        model: nn.Module,
        features: str | nn.Module | None = None,
        classifier: str | nn.Module | None = None,
        *,
        capture: Capture = "output",
        pool: Pool | None = None,
        num_classes: int | None = None,
        sums: Literal["host", "device"] = "host",
        scatter: Literal["full", "trace"] = "full",
        batch: Callable[[Any], Batch] = read_batch,
        group: Any = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TagwiseTypeError(f"expected model as a torch.nn.Module, found {type(model).__name__}")
        if features is None:
            if classifier is None:
                raise TagwiseValueError("expected features or classifier to name a module, found neither")
            features, capture = classifier, "input"
        _check_choice("capture", capture, ("output", "input"))
        _check_choice("sums", sums, ("host", "device"))
        _check_choice("scatter", scatter, ("full", "trace"))
        self.model = model
        self._classifier = (
            None if classifier is None else find_module(model, classifier, "classifier")
        )
        self._features = find_module(model, features, "features")
        self._capture, self._pool = capture, pool
        self._num_classes = num_classes
        self._sums, self._scatter = sums, scatter
        self._read = batch
        self._group = group
        self._online: tuple[FeatureCapture, _Totals] | None = None

    def measure(self, loader: Iterable[Any]) -> CollapseMeasurement:
        """Measures on a loader's samples with the network frozen: evaluation mode, no gradients, no
        autocast and no TF32. Every flag and every generator of random numbers is as before afterwards.

        Use the *training* samples without augmentation: collapse is a statement about them. In a run of several processes
        each gives its own part, and all get the same answer; samples that a sampler repeats count
        once where batches say which they are, see :class:`Indexed`.

        Raises
        ------
        ValueError
            When batches cannot be read, features have no rows, sizes disagree, a number is NaN or
            infinite, or there is no labelled sample.
        """
        if self._online is not None:
            raise TagwiseError("expected no online measurement to be running; end it with stop()")
        same_buffers(distributed_parts(self.model))
        model = unwrapped(self.model)
        totals = self._totals()
        with frozen(self.model), FeatureCapture(self._features, self._capture, self._pool) as capture:
            device = _device_of(model)
            for batch, counted in counted_once(map(self._read, loader), self._group):
                model(*to_device(batch.args, device), **to_device(dict(batch.kwargs), device))
                if capture.num_calls > 1:
                    raise TagwiseValueError(
                        f"the module of features was called {capture.num_calls} times for one batch; "
                        "name a module that is called once"
                    )
                totals.add(capture.take(), batch.targets, counted)
        cautions = [*_precision(capture.dtype), *_repeats(loader, totals.has_indices)]
        return self._measurement(totals, "frozen", cautions)

    def start(self) -> None:
        """Begins to listen to training steps; :meth:`update` says to which targets features belong.

        An online measurement costs no extra pass, but no network ever had these features together:
        it changed from step to step, trained on them in training mode, and often in low precision. It
        shows a trend. :meth:`measure` is the measurement.
        """
        if self._online is None:
            capture = FeatureCapture(self._features, self._capture, self._pool)
            self._online = (capture.__enter__(), self._totals())

    def update(self, targets: Any) -> None:
        """Absorbs the features of the last forward pass, whose targets these are.

        Nothing waits for the device: copies arrive while training goes on.

        Raises
        ------
        TagwiseError
            Without :meth:`start`, or when no features have passed since.
        """
        capture, totals = self._running()
        totals.add(capture.take(), targets, None)

    def stop(self) -> CollapseMeasurement:
        """Ends an online measurement, and returns it."""
        capture, totals = self._running()
        capture.__exit__(None, None, None)
        self._online = None
        return self._measurement(totals, "online", _precision(capture.dtype))

    @contextmanager
    def online(self) -> Iterator[CollapseMonitor]:
        """Listens for the length of a ``with`` block, and forgets everything when it fails."""
        self.start()
        try:
            yield self
        finally:
            if self._online is not None:
                self._online[0].__exit__(None, None, None)
                self._online = None

    def _running(self) -> tuple[FeatureCapture, _Totals]:
        if self._online is None:
            raise TagwiseError("expected start() before update() and stop(), found nothing running")
        return self._online

    def _totals(self) -> _Totals:
        return _Totals(self._weights, self._num_classes, self._sums, self._scatter)

    def _weights(self) -> tuple[Tensor, Tensor | None] | None:
        return None if self._classifier is None else linear_weights(self._classifier)

    def _measurement(
        self, totals: _Totals, mode: Literal["frozen", "online"], cautions: Iterable[str]
    ) -> CollapseMeasurement:
        statistics = totals.statistics(self._group)
        classifier = self._weights()
        weight, bias = (None, None) if classifier is None else classifier
        report = statistics.collapse(weight=to_numpy(weight), bias=to_numpy(bias))
        return CollapseMeasurement(report, statistics, mode, tuple(cautions))


class _Totals:
    """What one measurement has absorbed; sized by the first batch."""

    def __init__(
        self,
        weights: Callable[[], tuple[Tensor, Tensor | None] | None],
        num_classes: int | None,
        sums: str,
        scatter: str,
    ) -> None:
        self._weights = weights
        self._num_classes = num_classes
        self._absorber_of = DeviceAbsorber if sums == "device" else HostAbsorber
        self._scatter = scatter
        self._absorber: HostAbsorber | DeviceAbsorber | None = None
        self.has_indices = False

    def add(self, features: Tensor, targets: Any, counted: Any) -> None:
        """Absorbs features ``[B, d]``, or those of their rows that count."""
        if len(features) != len(targets):
            raise TagwiseValueError(
                f"expected targets of the {len(features)} samples whose features passed, "
                f"found {len(targets)}"
            )
        if self._absorber is None:
            self._absorber = self._absorber_of(
                self._classes(targets), features.shape[1], self._scatter
            )
        if counted is not None:
            self.has_indices = True
            rows = torch.from_numpy(counted)
            features = features[rows.to(features.device)]
            targets = _rows(targets, counted)
        if len(features) > 0:
            self._absorber.update(features, targets)

    def statistics(self, group: Any) -> Statistics:
        """Those of all processes together."""
        own = None if self._absorber is None else self._absorber.statistics()
        if is_distributed(group):
            own = _known(own, group)
            return merge_statistics(own, group)
        if own is None:
            raise TagwiseValueError("expected a loader with at least one batch, found none")
        return own

    def _classes(self, targets: Any) -> int:
        if self._num_classes is not None:
            return self._num_classes
        weights = self._weights()
        if weights is not None:
            return len(weights[0])
        shape: tuple[int, ...] = tuple(getattr(targets, "shape", ()))
        if len(shape) == 2:
            return shape[1]
        raise TagwiseValueError(
            "expected num_classes= or classifier=, because targets without columns do not tell how "
            "many classes there are"
        )


def _known(own: Statistics | None, group: Any) -> Statistics:
    """This process's part, empty where it had no batch."""
    sizes = gather(None if own is None else (own.num_classes, own.dim, own.scatter), group)
    known = next((size for size in sizes if size is not None), None)
    if known is None:
        raise TagwiseValueError("expected a loader with at least one batch, found none on any process")
    if own is not None:
        return own
    num_classes, dim, scatter = known
    return Statistics(num_classes, dim, scatter=scatter)


def _rows(targets: Any, counted: Any) -> Any:
    if isinstance(targets, Tensor):
        return targets[torch.from_numpy(counted).to(targets.device)]
    if hasattr(targets, "shape"):
        return targets[counted]
    return [row for row, counts in zip(targets, counted, strict=True) if counts]


def _device_of(model: nn.Module) -> torch.device:
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TagwiseValueError(f"expected {name} to be one of {choices}, found {value!r}")


def _precision(dtype: torch.dtype | None) -> list[str]:
    if dtype in (torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        return [f"the network computes features in {name}, whose rounding adds to NC1"]
    return []


def _repeats(loader: Any, has_indices: bool) -> list[str]:
    """A word where a sampler pads and nobody can tell which samples came twice."""
    sampler = getattr(loader, "sampler", None)
    if has_indices or not isinstance(sampler, torch.utils.data.DistributedSampler):
        return []
    extra = sampler.total_size - len(sampler.dataset)  # type: ignore[arg-type]
    if extra <= 0:
        return []
    return [
        f"the sampler repeats {extra} samples, which count twice; wrap the data set in "
        "tagwise.torch.Indexed to count them once"
    ]
