"""Loss, metrics and collapse through the Trainer of Hugging Face, on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import tagwise  # noqa: E402
from tagwise.torch import CollapseMonitor, named_loss  # noqa: E402
from tagwise.transformers import CollapseCallback, MultilabelMetrics, trainer_loss  # noqa: E402

NUM_CLASSES = 3


class Texts(torch.utils.data.Dataset):
    """Sequences of 8 tokens; token k in them means label k."""

    def __init__(self, num_samples=48):
        generator = torch.Generator().manual_seed(0)
        self.tokens = torch.randint(0, 8, (num_samples, 8), generator=generator)
        self.tokens[:NUM_CLASSES] = torch.arange(NUM_CLASSES).unsqueeze(1)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        tokens = self.tokens[index]
        labels = torch.stack([(tokens == k).any() for k in range(NUM_CLASSES)]).float()
        return {"input_ids": tokens, "labels": labels}


def model():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=8,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        num_labels=NUM_CLASSES,
        problem_type="multi_label_classification",
    )
    return transformers.BertForSequenceClassification(config)


def trainer_in(folder, **options):
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to=options.pop("report_to", "none"),
        use_cpu=True,
        disable_tqdm=True,
        seed=0,
    )
    return transformers.Trainer(
        model(), arguments, train_dataset=Texts(), eval_dataset=Texts(20), **options
    )


def test_a_run_logs_metrics_and_collapse(tmp_path, monkeypatch):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    trainer = trainer_in(
        tmp_path,
        compute_loss_func=trainer_loss("pal-n"),
        compute_metrics=MultilabelMetrics(also=lambda _: {"mine": 1.0}),
        report_to="tensorboard",
    )
    callback = CollapseCallback(trainer, "dropout", "classifier")
    trainer.add_callback(callback)
    trainer.train()
    history = trainer.state.log_history
    measured = [entry for entry in history if "collapse/nc3" in entry]
    assert [entry["epoch"] for entry in measured] == [1.0, 2.0]
    evaluated = [entry for entry in history if "eval_f1_micro" in entry]
    assert len(evaluated) == 2 and evaluated[0]["eval_mine"] == 1.0
    assert not any("@" in key for entry in history for key in entry)
    batches = torch.utils.data.DataLoader(Texts(), batch_size=16)
    expected = CollapseMonitor(trainer.model, "dropout", "classifier").measure(batches)
    assert callback.measurement.scalars() == pytest.approx(expected.scalars(), rel=1e-5)
    assert callback.measurement.statistics.num_samples == 48
    folders = {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}
    tags = set()
    for folder in folders:
        accumulator = events.EventAccumulator(str(folder))
        accumulator.Reload()
        tags |= set(accumulator.Tags()["scalars"])
    assert any("nc3" in tag for tag in tags), tags


def test_the_loss_is_that_of_the_library(tmp_path):
    trainer = trainer_in(tmp_path, compute_loss_func=trainer_loss("zlpr"))
    batch = trainer.data_collator([Texts()[i] for i in range(16)])
    found = trainer.compute_loss(trainer.model.eval(), dict(batch))
    logits = trainer.model(input_ids=batch["input_ids"]).logits
    assert found.item() == pytest.approx(named_loss("zlpr")(logits, batch["labels"]).item())


def test_metrics_are_those_of_the_library():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (50, 4))
    logits = targets + rng.normal(size=(50, 4))
    found = MultilabelMetrics()(transformers.EvalPrediction((logits, "states"), targets))
    expected = tagwise.evaluate((logits > 0).astype(np.uint8), targets, logits)
    assert found["f1_micro"] == expected["f1_micro"]
    assert found["hamming_loss"] == expected["hamming_loss"]
    assert all(isinstance(value, float) for value in found.values())
    rule = tagwise.LogitRule.fit(logits, targets, link="sigmoid")
    tuned = MultilabelMetrics(rule)(transformers.EvalPrediction(logits, targets))
    assert tuned["subset_accuracy"] >= found["subset_accuracy"]
    top = MultilabelMetrics(lambda z: (z == z.max(1, keepdims=True)).astype(np.uint8))
    assert 0 <= top(transformers.EvalPrediction(logits, targets))["subset_accuracy"] <= 1


def test_bad_input_ends_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="expected logits and targets of one shape"):
        MultilabelMetrics()(transformers.EvalPrediction(np.zeros((3, 2)), np.zeros((3, 1))))
    trainer = trainer_in(tmp_path)
    with pytest.raises(ValueError, match="expected every_n_epochs of at least 1, found 0"):
        CollapseCallback(trainer, classifier="classifier", every_n_epochs=0)
    with pytest.raises(ValueError, match="expected features to name a module of the model"):
        CollapseCallback(trainer, "pooling")
    with pytest.raises(ValueError, match="expected a loss among"):
        trainer_loss("hinge")


def test_trackio_takes_every_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    monkeypatch.setenv("TRACKIO_PROJECT", "collapse")
    storage = pytest.importorskip("trackio.sqlite_storage").SQLiteStorage
    trainer = trainer_in(tmp_path, compute_loss_func=trainer_loss("pal-n"), report_to="trackio")
    callback = CollapseCallback(trainer, "dropout", "classifier")
    trainer.add_callback(callback)
    trainer.train()
    (project,) = storage.get_projects()
    (run,) = storage.get_runs(project)
    logs = storage.get_logs(project, run)
    measured = [entry for entry in logs if any(key.endswith("nc3") for key in entry)]
    assert len(measured) == 2, logs
    for name, value in callback.measurement.scalars().items():
        found = [entry_value for key, entry_value in measured[-1].items() if key.endswith(f"collapse/{name}")]
        assert found == [pytest.approx(value)], name
