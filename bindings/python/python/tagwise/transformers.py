"""Loss, metrics and collapse for the Trainer of Hugging Face.

>>> from transformers import Trainer
>>> from tagwise.transformers import CollapseCallback, MultilabelMetrics, trainer_loss
>>> trainer = Trainer(
...     model, args, train_dataset=train, eval_dataset=test,
...     compute_loss_func=trainer_loss("pal-n"), compute_metrics=MultilabelMetrics(),
... )  # doctest: +SKIP
>>> trainer.add_callback(CollapseCallback(trainer, classifier="classifier"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tagwise._missing import need

need("torch", extra="transformers", module="tagwise.transformers")
need("transformers", extra="transformers", module="tagwise.transformers")

import numpy as np  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset  # noqa: E402
from transformers import EvalPrediction, Trainer, TrainerCallback  # noqa: E402

from tagwise import LogitRule, evaluate  # noqa: E402
from tagwise.errors import TagwiseValueError  # noqa: E402
from tagwise.torch.distributed import is_distributed  # noqa: E402
from tagwise.torch.losses import MultilabelLoss, named_loss  # noqa: E402
from tagwise.torch.monitor import CollapseMeasurement, CollapseMonitor  # noqa: E402

__all__ = ["CollapseCallback", "MultilabelMetrics", "trainer_loss"]


def trainer_loss(loss: str | MultilabelLoss, **options: Any) -> Callable[..., Tensor]:
    """A loss as the Trainer takes it, ``compute_loss_func=trainer_loss("pal-n")``.

    The mean is over the samples of each batch, and gradient accumulation averages these.

    Raises
    ------
    ValueError
        For a name that is no loss.
    """
    module = named_loss(loss, **options) if isinstance(loss, str) else loss

    def compute(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs[0]
        return module.to(logits.device)(logits, labels)  # type: ignore[no-any-return]

    return compute


class MultilabelMetrics:
    """Metrics of label sets and rankings as ``compute_metrics`` of a Trainer.

    Parameters
    ----------
    rule
        How logits become label sets: a :class:`tagwise.LogitRule` fitted on validation samples, or
        a function of logits ``[N, K]`` that gives sets; unless given, a label is in the set when its
        logit is above 0, which suits losses with a sigmoid (BCE, focal, ASL, ZLPR).
    also
        A ``compute_metrics`` of your own, whose entries are added.

    Examples
    --------
    >>> import numpy as np
    >>> from transformers import EvalPrediction
    >>> from tagwise.transformers import MultilabelMetrics
    >>> prediction = EvalPrediction(np.array([[2.0, -1.0], [-1.0, 3.0]]), np.eye(2))
    >>> MultilabelMetrics()(prediction)["subset_accuracy"]
    1.0
    """

    def __init__(
        self,
        rule: LogitRule | Callable[[Any], Any] | None = None,
        also: Callable[[EvalPrediction], Mapping[str, float]] | None = None,
    ) -> None:
        self._rule = rule
        self._also = also

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """The metrics; those that are not defined for these samples are left out."""
        given = prediction.predictions
        logits = np.asarray(given[0] if isinstance(given, tuple) else given)
        targets = np.asarray(prediction.label_ids)
        if logits.ndim != 2 or logits.shape != targets.shape:
            raise TagwiseValueError(
                "expected logits and targets of one shape [N, K], found logits "
                f"{list(logits.shape)} and targets {list(targets.shape)}"
            )
        measures = evaluate(self._decide(logits), targets, logits)
        metrics = {name: float(value) for name, value in measures.items() if value is not None}
        if self._also is not None:
            metrics.update(self._also(prediction))
        return metrics

    def _decide(self, logits: Any) -> Any:
        if self._rule is None:
            return (logits > 0).astype(np.uint8)
        if isinstance(self._rule, LogitRule):
            return self._rule.decode(logits)
        return self._rule(logits)


class CollapseCallback(TrainerCallback):
    """Measures collapse at the end of every n-th epoch and logs it through the Trainer.

    Parameters
    ----------
    trainer
        The Trainer that it is added to: its data collator reads the samples, its ``log`` takes the
        numbers.
    features, classifier
        Names of modules as for :class:`tagwise.torch.CollapseMonitor`.
    dataset
        Training samples without augmentation; the Trainer's training set unless given.
    every_n_epochs
        How often.
    prefix
        What stands before every name.
    options
        As for :class:`tagwise.torch.CollapseMonitor`.

    Attributes
    ----------
    measurement
        The last :class:`CollapseMeasurement`.
    """

    def __init__(
        self,
        trainer: Trainer,
        features: str | None = None,
        classifier: str | None = None,
        *,
        dataset: Any = None,
        every_n_epochs: int = 1,
        prefix: str = "collapse/",
        **options: Any,
    ) -> None:
        if every_n_epochs < 1:
            raise TagwiseValueError(f"expected every_n_epochs of at least 1, found {every_n_epochs}")
        if trainer.model is None:
            raise TagwiseValueError("expected a Trainer that has a model, found none")
        self._trainer = trainer
        self._monitor = CollapseMonitor(trainer.model, features, classifier, **options)
        self._dataset = dataset
        self._every = every_n_epochs
        self._prefix = prefix
        self.measurement: CollapseMeasurement | None = None

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measures and logs, where it is this epoch's turn."""
        if round(state.epoch) % self._every == 0:
            self.measurement = self._monitor.measure(self._samples())
            self._trainer.log(self.measurement.scalars(self._prefix))

    def _samples(self) -> Iterable[Any]:
        """This process's share, each sample once: the Trainer's own loader repeats some."""
        trainer = self._trainer
        dataset: Any = trainer.train_dataset if self._dataset is None else self._dataset
        if dataset is None:
            raise TagwiseValueError("expected dataset, or a Trainer with a training set, found neither")
        prepared = trainer.get_eval_dataloader(dataset)
        if isinstance(dataset, IterableDataset):
            return prepared
        rank, world = (dist.get_rank(), dist.get_world_size()) if is_distributed() else (0, 1)
        return DataLoader(
            prepared.dataset,
            batch_size=trainer.args.eval_batch_size,
            sampler=range(rank, len(dataset), world),
            collate_fn=prepared.collate_fn,
            num_workers=trainer.args.dataloader_num_workers,
        )
