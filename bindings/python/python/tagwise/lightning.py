"""Collapse in a Lightning run, for ``lightning`` and ``pytorch_lightning`` alike.

>>> from tagwise.lightning import CollapseCallback
>>> callback = CollapseCallback("net.avgpool", "net.fc", every_n_epochs=5)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tagwise._missing import need

need("torch", extra="lightning", module="tagwise.lightning")

from tagwise.errors import TagwiseValueError  # noqa: E402
from tagwise.torch.batches import Batch, read_batch  # noqa: E402
from tagwise.torch.monitor import CollapseMeasurement, CollapseMonitor  # noqa: E402

__all__ = ["CollapseCallback"]

if TYPE_CHECKING:
    from lightning.pytorch import Callback as _Base
else:

    def _callbacks() -> tuple[type, ...]:
        """The base classes of both packages, as far as they are installed."""
        bases: list[type] = []
        if find_spec("lightning") is not None:
            import lightning.pytorch

            bases.append(lightning.pytorch.Callback)
        if find_spec("pytorch_lightning") is not None:
            import pytorch_lightning

            bases.append(pytorch_lightning.Callback)
        return tuple(bases) or need(
            "lightning", extra="lightning", module="tagwise.lightning"
        )

    _Base = type("_Base", _callbacks(), {})

#: A loader, or a function without arguments that makes one.
Loader = Iterable[Any] | Callable[[], Iterable[Any]]


class CollapseCallback(_Base):
    """Measures collapse at the end of every n-th training epoch and logs it.

    The names are those of :meth:`CollapseMeasurement.scalars` behind ``prefix``; other callbacks can
    watch them, ``EarlyStopping("collapse/nc1_m1", strict=False)``: a metric that the samples do not tell,
    such as NC1 of an untrained network, is left out. For file names of ``ModelCheckpoint`` choose a prefix
    without a slash. In a run of several processes all of them measure their part.

    Parameters
    ----------
    features
        Name of the module of features inside the LightningModule; the classifier's input if left
        out.
    classifier
        Name of the last layer.
    loader
        Training samples without augmentation. The trainer's training loader unless given: right
        when it augments nothing.
    every_n_epochs
        How often; the last epoch is always measured.
    prefix
        What stands before every name.
    batch, options
        As for :class:`tagwise.torch.CollapseMonitor`.

    Attributes
    ----------
    measurement
        The last :class:`CollapseMeasurement`.
    """

    def __init__(
        self,
        features: str | None = None,
        classifier: str | None = None,
        *,
        loader: Loader | None = None,
        every_n_epochs: int = 1,
        prefix: str = "collapse/",
        batch: Callable[[Any], Batch] = read_batch,
        **options: Any,
    ) -> None:
        super().__init__()
        if features is None and classifier is None:
            raise TagwiseValueError("expected features or classifier to name a module, found neither")
        if every_n_epochs < 1:
            raise TagwiseValueError(f"expected every_n_epochs of at least 1, found {every_n_epochs}")
        self._modules = features, classifier
        self._loader = loader
        self._every = every_n_epochs
        self._prefix = prefix
        self._options = {**options, "batch": batch}
        self.measurement: CollapseMeasurement | None = None

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Measures and logs, where it is this epoch's turn."""
        epoch = trainer.current_epoch + 1
        if epoch % self._every != 0 and epoch != trainer.max_epochs:
            return
        model = getattr(trainer.strategy, "model", None) or pl_module
        monitor = CollapseMonitor(model, *self._modules, **self._options)
        self.measurement = monitor.measure(self._samples(trainer))
        pl_module.log_dict(self.measurement.scalars(self._prefix))

    def _samples(self, trainer: Any) -> Iterable[Any]:
        if self._loader is None:
            loader: Iterable[Any] = trainer.train_dataloader
            return loader
        return self._loader() if callable(self._loader) else self._loader
