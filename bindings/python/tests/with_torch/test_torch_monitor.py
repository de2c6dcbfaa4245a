"""The monitor of tagwise.torch: what it hears, what it leaves as it was, and what it refuses."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

import tagwise  # noqa: E402
from tagwise.torch import Batch, CollapseMonitor, Indexed, SimplexETFClassifier  # noqa: E402

NUM_CLASSES, NUM_SAMPLES, DIM = 4, 96, 6


def samples(seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(NUM_SAMPLES, NUM_CLASSES, generator=generator) < 0.4
    targets[:NUM_CLASSES] = torch.eye(NUM_CLASSES, dtype=torch.bool)
    images = torch.randn(NUM_SAMPLES, 3, 8, 8, generator=generator)
    images[:, 0] += (targets * torch.arange(1, 1 + NUM_CLASSES)).sum(1).view(-1, 1, 1)
    return images, targets.float()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        *(
            nn.Sequential(nn.Conv2d(3, DIM, 3), nn.BatchNorm2d(DIM), nn.ReLU(inplace=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(DIM, NUM_CLASSES),
        )
    )


def loader(**options):
    return DataLoader(TensorDataset(*samples()), batch_size=20, **options)


def expected_of(net, images=None, targets=None):
    """The report of the same features, taken without a monitor."""
    if images is None:
        images, targets = samples()
    state = [module.training for module in net.modules()]
    net.eval()
    with torch.no_grad():
        features = net[:3](images).clone()
    for module, flag in zip(net.modules(), state, strict=True):
        module.training = flag
    statistics = tagwise.Statistics(NUM_CLASSES, DIM).update(features.numpy(), targets.numpy())
    fc = net[-1]
    return statistics.collapse(weight=fc.weight.detach().numpy(), bias=fc.bias.detach().numpy())


def assert_close(found, expected, tolerance=1e-5):
    """Batches of other sizes round differently in f32."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=tolerance, abs=1e-9), key


@pytest.mark.parametrize("sums", ["host", "device"])
def test_it_measures_the_features_of_the_network_in_evaluation_mode(sums):
    net = network()
    net(samples()[0])  # running means that differ from the batch's
    measurement = CollapseMonitor(net, "1", "5", sums=sums).measure(loader())
    assert_close(measurement.scalars(), expected_of(net).scalars())
    assert measurement.mode == "frozen" and measurement.cautions == ()
    assert measurement.statistics.num_samples == NUM_SAMPLES
    assert measurement.nc1 == measurement.report.nc1
    assert str(measurement.report) in str(measurement)
    names = measurement.scalars("collapse/")
    assert names and all(name.startswith("collapse/") and "@" not in name for name in names)


def test_the_input_of_the_classifier_is_the_feature_when_no_module_is_named():
    net = network()
    by_input = CollapseMonitor(net, classifier="5").measure(loader())
    assert_close(by_input.scalars(), expected_of(net).scalars())


def test_a_classifier_may_live_outside_the_model():
    net = network()
    head = SimplexETFClassifier(NUM_CLASSES, DIM)
    measurement = CollapseMonitor(net, features="1", classifier=head).measure(loader())
    assert measurement.nc2.classifier < 1e-6


def test_copies_are_made_before_a_layer_works_in_place():
    """The module before the in-place ReLU gives negative numbers."""
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 2))
    inputs, targets = torch.randn(30, 3), torch.eye(2).repeat(15, 1)
    batches = DataLoader(TensorDataset(inputs, targets), batch_size=10)
    statistics = CollapseMonitor(net, "0").measure(batches).statistics
    expected = tagwise.Statistics(2, 3).update(net[0](inputs).detach().numpy(), targets.numpy())
    assert np.allclose(statistics.means, expected.means, atol=1e-6) and (statistics.means < 0).any()


def test_everything_is_as_before():
    net = network()
    net[0][1].eval()  # a frozen batch normalisation in a model that trains
    flags = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    matmul = torch.backends.mkldnn.matmul.fp32_precision
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    try:
        with torch.autocast("cpu", torch.bfloat16):
            CollapseMonitor(net, "1", "5").measure(loader(shuffle=True))
            assert torch.is_autocast_enabled("cpu")
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == matmul
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert torch.is_grad_enabled() and not net[0][0]._forward_hooks and not net[1]._forward_hooks


def test_everything_is_as_before_when_a_batch_fails():
    net = network()
    monitor = CollapseMonitor(net, "1", "5")
    with pytest.raises(RuntimeError):
        monitor.measure([(torch.zeros(2, 5, 8, 8), torch.zeros(2, NUM_CLASSES))])
    assert net.training and torch.is_grad_enabled() and not net[1]._forward_hooks
    assert_close(monitor.measure(loader()).scalars(), expected_of(net).scalars())


def test_training_goes_on_with_the_same_bits():
    def train(measures):
        net = network()
        monitor = CollapseMonitor(net, "1", "5")
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        torch.manual_seed(5)
        for _ in range(2):
            for images, targets in loader(shuffle=True):
                optimiser.zero_grad()
                tagwise.torch.PickAllLabelsLoss()(net(images), targets).backward()
                optimiser.step()
            if measures:
                monitor.measure(loader(shuffle=True))
        return net.state_dict()

    plain, measured = train(False), train(True)
    assert all(torch.equal(plain[name], measured[name]) for name in plain)


def test_autocast_around_it_does_not_reach_the_features():
    net = network()
    with torch.autocast("cpu", torch.bfloat16):
        measurement = CollapseMonitor(net, "1", "5").measure(loader())
    assert_close(measurement.scalars(), expected_of(net).scalars())


def test_a_network_in_low_precision_is_measured_with_a_caution():
    net = network().bfloat16()
    batches = [(images.bfloat16(), targets) for images, targets in loader()]
    measurement = CollapseMonitor(net, "1", "5").measure(batches)
    assert measurement.cautions == (
        "the network computes features in bfloat16, whose rounding adds to NC1",
    )
    assert "Caution: the network computes" in str(measurement)


def test_it_hears_a_compiled_model():
    net = network()
    net.eval()
    compiled = torch.compile(net, backend="aot_eager")
    compiled(samples()[0])
    monitor = CollapseMonitor(compiled, "1", "5")
    assert_close(monitor.measure(loader()).scalars(), expected_of(net).scalars())
    net.compile(backend="aot_eager")
    net(samples()[0])
    assert_close(CollapseMonitor(net, "1", "5").measure(loader()).scalars(), expected_of(net).scalars())


def test_it_hears_training_steps_of_a_model_that_is_compiled_later():
    torch._dynamo.reset()
    net = network().eval()
    monitor = CollapseMonitor(torch.compile(net, backend="aot_eager"), "1", "5")
    with monitor.online():
        for images, targets in loader():
            monitor.model(images)
            monitor.update(targets)
        measurement = monitor.stop()
    assert_close(measurement.scalars(), expected_of(net).scalars())


def test_an_online_measurement_is_labelled():
    net = network()
    monitor = CollapseMonitor(net, "1", "5")
    monitor.start()
    for images, targets in loader():
        net(images)
        monitor.update(targets)
    measurement = monitor.stop()
    assert measurement.mode == "online" and "different steps" in str(measurement)
    assert measurement.statistics.num_samples == NUM_SAMPLES
    with pytest.raises(tagwise.TagwiseError, match="expected start\\(\\) before update\\(\\)"):
        monitor.update(targets)


def test_what_was_heard_online_is_forgotten_when_training_fails():
    net = network()
    monitor = CollapseMonitor(net, "1", "5")
    with pytest.raises(ZeroDivisionError), monitor.online():
        raise ZeroDivisionError
    assert not net[1]._forward_hooks
    with pytest.raises(tagwise.TagwiseError, match="found nothing running"):
        monitor.stop()


def test_repeated_samples_count_once_when_batches_say_which_they_are():
    net = network()
    data = Indexed(TensorDataset(*samples()))
    order = [*range(NUM_SAMPLES), 3, 3, 17, 0, *range(40)]
    batches = DataLoader(data, batch_size=20, sampler=order)
    for sums in ("host", "device"):
        measurement = CollapseMonitor(net, "1", "5", sums=sums).measure(batches)
        assert measurement.statistics.num_samples == NUM_SAMPLES
        assert_close(measurement.scalars(), expected_of(net).scalars())


def test_batches_may_be_mappings_and_outputs_anything_with_a_pool():
    class Encoder(nn.Module):
        def forward(self, pixels):
            return {"states": pixels.flatten(2).transpose(1, 2)}

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.fc = Encoder(), nn.Linear(3, NUM_CLASSES)

        def forward(self, pixels):
            return self.fc(self.encoder(pixels)["states"].mean(1))

    images, targets = samples()
    batches = [{"pixels": images[i::2], "labels": targets[i::2].int()} for i in range(2)]
    pooled = CollapseMonitor(Model(), "encoder", pool=lambda output: output["states"].mean(1))
    expected = tagwise.Statistics(NUM_CLASSES, 3).update(images.mean((2, 3)).numpy(), targets.numpy())
    assert np.allclose(pooled.measure(batches).statistics.means, expected.means, atol=1e-6)
    assert CollapseMonitor(Model(), classifier="fc").measure(batches).nc3 is not None


def test_class_numbers_are_targets_of_one_label():
    net = network()
    images, _ = samples()
    classes = torch.arange(NUM_SAMPLES) % NUM_CLASSES
    measurement = CollapseMonitor(net, "1", "5").measure([(images, classes)])
    assert_close(measurement.scalars(), expected_of(net, images, nn.functional.one_hot(classes)).scalars())


def test_a_reader_of_batches_may_be_given():
    net = network()
    triples = [("name", images, targets) for images, targets in loader()]
    monitor = CollapseMonitor(net, "1", "5", batch=lambda triple: Batch(triple[1:2], triple[2]))
    assert_close(monitor.measure(triples).scalars(), expected_of(net).scalars())


@pytest.mark.parametrize("ratio", [1e-2, 1e-4, 1e-6])
def test_sums_on_the_device_keep_nc1_where_raw_sums_fail(ratio):
    """σ/‖μ‖ = 1e-4 in f32: a sum of raw squares would have nothing left of the spread."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.eye(3).repeat(200, 1)
    targets[::5, 0] = 1
    means = torch.randn(3, 8, generator=generator)
    features = (targets @ means + ratio * torch.randn(600, 8, generator=generator)).float()
    batches = [(features[i : i + 64], targets[i : i + 64]) for i in range(0, 600, 64)]
    net = nn.Sequential(nn.Identity())
    host = CollapseMonitor(net, "0").measure(batches).statistics
    device = CollapseMonitor(net, "0", sums="device").measure(batches).statistics
    assert (host.counts == device.counts).all()
    assert np.allclose(host.means, device.means, rtol=0, atol=1e-7 * ratio + 1e-15)
    for multiplicity in (1, 2):
        exact = host.within_scatter(multiplicity)
        error = np.abs(device.within_scatter(multiplicity) - exact).max() / np.abs(exact).max()
        assert error < 1e-5
    assert device.collapse().nc1[1] == pytest.approx(host.collapse().nc1[1], rel=1e-5)
    merged = device.copy().merge(host)
    assert np.allclose(merged.within_scatter(1), 2 * host.within_scatter(1), rtol=1e-5, atol=1e-5 * ratio**2)


def test_sums_on_the_device_know_unlabelled_samples_and_traces():
    features, targets = torch.randn(40, 5), (torch.rand(40, 3) < 0.3).float()
    targets[::4] = 0
    for scatter in ("full", "trace"):
        net = nn.Sequential(nn.Identity())
        host = CollapseMonitor(net, "0", scatter=scatter).measure([(features, targets)])
        device = CollapseMonitor(net, "0", scatter=scatter, sums="device").measure([(features, targets)])
        assert_close(device.scalars(), host.scalars())
        assert device.statistics.num_samples == 40 and device.statistics.scatter == scatter


def test_adapters_of_peft_are_part_of_the_classifier():
    peft = pytest.importorskip("peft")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc = nn.Linear(3, DIM), nn.Linear(DIM, NUM_CLASSES)

        def forward(self, inputs):
            return self.fc(self.body(inputs))

    images, targets = samples()
    batches = [(images.mean((2, 3)), targets)]
    for options in ({"target_modules": ["body", "fc"]}, {"target_modules": ["body"], "modules_to_save": ["fc"]}):
        torch.manual_seed(0)
        model = peft.get_peft_model(Model(), peft.LoraConfig(r=2, init_lora_weights=False, **options))
        measurement = CollapseMonitor(model, "body", "fc").measure(batches)
        identity = torch.eye(DIM)
        fc = model.base_model.model.fc
        with torch.no_grad():
            weight = (fc(identity) - fc(0 * identity)).T
            features = model.base_model.model.body(batches[0][0])
        expected = tagwise.Statistics(NUM_CLASSES, DIM).update(features.numpy(), targets.numpy())
        report = expected.collapse(weight=weight.numpy())
        assert measurement.nc3 == pytest.approx(report.nc3, rel=1e-4)
        assert measurement.nc2.classifier == pytest.approx(report.nc2.classifier, rel=1e-4)


NET = network()
IMAGES, TARGETS = samples()
ONE = [(IMAGES, TARGETS)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CollapseMonitor(NET), "expected features or classifier to name a module, found neither"),
        (lambda: CollapseMonitor("net", "1"), "expected model as a torch.nn.Module, found str"),
        (lambda: CollapseMonitor(NET, "avgpool"), "expected features to name a module of the model, found 'avgpool'"),
        (lambda: CollapseMonitor(NET, "1", "fc"), "expected classifier to name a module of the model, found 'fc'"),
        (lambda: CollapseMonitor(NET, "1", sums="gpu"), "expected sums to be one of ('host', 'device'), found 'gpu'"),
        (lambda: CollapseMonitor(NET, "1", capture="both"), "expected capture to be one of"),
        (lambda: CollapseMonitor(NET, "1", scatter="none"), "expected scatter to be one of"),
        (lambda: CollapseMonitor(NET, "1", "0").measure(ONE), "expected classifier to be a linear layer"),
        (lambda: CollapseMonitor(NET, "0").measure(ONE), "expected features of shape [B, d], found [96, 6, 6, 6]; say with pool="),
        (lambda: CollapseMonitor(NET, "1", pool=lambda h: (h,)).measure(ONE), "expected a tensor of features, found tuple"),
        (lambda: CollapseMonitor(NET, "1").measure([]), "expected a loader with at least one batch, found none"),
        (lambda: CollapseMonitor(NET, "1").measure([IMAGES]), "expected a batch (inputs, targets)"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES,)]), "found tuple of 1"),
        (lambda: CollapseMonitor(NET, "1").measure([{"x": IMAGES}]), "expected a batch with labels or targets, found the keys ['x']"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, TARGETS[1:])]), "expected targets of the 96 samples whose features passed, found 95"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, [0] * 96)]), "expected num_classes= or classifier="),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, TARGETS, torch.arange(5))]), "expected indices of 96 samples"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, TARGETS, torch.arange(96)), ONE[0]]), "expected indices in every batch or in none"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES * torch.nan, TARGETS)]), "finite"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, TARGETS * 0)]), "collapse is measured on labelled samples, and there is none"),
        (lambda: CollapseMonitor(NET, "1").measure([(IMAGES, TARGETS + 1)]), "target"),
    ],
)
def test_bad_input_ends_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError)) as failure:
        call()
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_module_that_is_called_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Identity()

        def forward(self, inputs):
            return self.body(self.body(inputs))

    with pytest.raises(ValueError, match="was called 2 times for one batch"):
        CollapseMonitor(Twice(), "body").measure([(torch.randn(4, 3), torch.eye(4))])
