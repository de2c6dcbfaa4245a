"""The callback in runs of lightning and pytorch_lightning, logged to TensorBoard's files."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

PACKAGES = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec(name.split(".")[0]), reason=f"{name} is not installed"))
    for name in ("lightning.pytorch", "pytorch_lightning")
]
if not any(find_spec(name) for name in ("lightning", "pytorch_lightning")):
    pytest.skip("lightning is not installed", allow_module_level=True)

from tagwise.lightning import CollapseCallback  # noqa: E402
from tagwise.torch import CollapseMonitor, PickAllLabelsLoss  # noqa: E402

NUM_CLASSES, DIM = 3, 4


def samples():
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(60, NUM_CLASSES, generator=generator) < 0.4
    targets[:NUM_CLASSES] = torch.eye(NUM_CLASSES, dtype=torch.bool)
    inputs = targets.float() @ torch.randn(NUM_CLASSES, 5, generator=generator)
    return TensorDataset(inputs + 0.1 * torch.randn(60, 5, generator=generator), targets.float())


def loader():
    return DataLoader(samples(), batch_size=16)


def module_of(package):
    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(5, DIM), nn.ReLU(), nn.Dropout(0.2))
            self.fc = nn.Linear(DIM, NUM_CLASSES)
            self.loss = PickAllLabelsLoss("mean")

        def forward(self, inputs):
            return self.fc(self.net(inputs))

        def training_step(self, batch, _):
            return self.loss(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Module()


def trainer_of(package, folder, callbacks, **options):
    return package.Trainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=options.pop("enable_checkpointing", False),
        logger=options.pop("logger", False),
        **options,
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_it_logs_every_second_epoch_and_the_last_to_tensorboard(name, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    package = import_module(name)
    logger = import_module(f"{name}.loggers").TensorBoardLogger(tmp_path, name="run", version="")
    callback = CollapseCallback("net.2", "fc", every_n_epochs=2)
    module = module_of(package)
    trainer = trainer_of(package, tmp_path, [callback], max_epochs=5, logger=logger)
    trainer.fit(module, loader())
    assert module.training
    accumulator = events.EventAccumulator(str(tmp_path / "run"))
    accumulator.Reload()
    tags = {tag for tag in accumulator.Tags()["scalars"] if tag.startswith("collapse/")}
    assert tags == set(callback.measurement.scalars("collapse/")) >= {"collapse/nc1_m1", "collapse/nc3"}
    scalars = accumulator.Scalars("collapse/nc1_m1")
    assert len(scalars) == 3  # epochs 2, 4 and 5
    expected = CollapseMonitor(module, "net.2", "fc").measure(loader()).scalars()
    assert scalars[-1].value == pytest.approx(expected["nc1_m1"], rel=1e-5)


@pytest.mark.parametrize("name", PACKAGES)
def test_other_callbacks_may_watch_the_numbers(name, tmp_path):
    package = import_module(name)
    callbacks = import_module(f"{name}.callbacks")
    collapse = CollapseCallback("net.2", "fc", loader=loader, prefix="collapse_")
    watchers = [
        callbacks.EarlyStopping("collapse_nc1_m1", patience=0, min_delta=1e9),
        callbacks.ModelCheckpoint(tmp_path, "{collapse_nc1_m1:.3f}", monitor="collapse_nc1_m1"),
    ]
    trainer = trainer_of(
        package, tmp_path, [collapse, *watchers], max_epochs=9, enable_checkpointing=True
    )
    trainer.fit(module_of(package), loader())
    assert trainer.current_epoch < 9
    assert list(tmp_path.glob("collapse_nc1_m1=*.ckpt"))


def test_mlflow_and_weights_and_biases_take_the_names(tmp_path, monkeypatch):
    """Their own rules for names, through their own clients, without a server."""
    package = pytest.importorskip("lightning.pytorch")
    callback = CollapseCallback("net.2", "fc")
    trainer = trainer_of(package, tmp_path, [callback], max_epochs=1)
    trainer.fit(module_of(package), loader())
    scalars = callback.measurement.scalars("collapse/")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # no database here
    client = mlflow.MlflowClient((tmp_path / "mlruns").as_uri())
    run = client.create_run(client.create_experiment("collapse"))
    for key, value in scalars.items():
        client.log_metric(run.info.run_id, key, value, step=1)
    assert client.get_run(run.info.run_id).data.metrics == pytest.approx(scalars)
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(project="collapse", mode="offline", dir=tmp_path) as run:
        run.log(scalars)
        assert dict(run.summary)["collapse/nc1_m1"] == scalars["collapse/nc1_m1"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CollapseCallback(), "expected features or classifier to name a module, found neither"),
        (lambda: CollapseCallback("a", every_n_epochs=0), "expected every_n_epochs of at least 1, found 0"),
    ],
)
def test_bad_options_end_in_one_sentence(build, message):
    with pytest.raises(ValueError) as failure:
        build()
    assert str(failure.value) == message
