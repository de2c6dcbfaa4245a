"""The losses of tagwise.torch against golden values, PyTorch's own and their own invariants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

import tagwise  # noqa: E402
from tagwise.torch import (  # noqa: E402
    LOSSES,
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    FocalLoss,
    LabelSetWeights,
    PickAllLabelsLoss,
    ZlprLoss,
    balanced_class_weight,
    functional,
    named_loss,
)

GOLDEN = Path(__file__).parents[4] / "crates" / "tagwise" / "tests" / "golden" / "loss.json"

#: Rounding of sums of a dozen terms of the size of the largest.
ROUNDING = 1e-12

MODULES = {
    "pick-all-labels": PickAllLabelsLoss,
    "binary-cross-entropy": BinaryCrossEntropyLoss,
    "focal": FocalLoss,
    "asymmetric": AsymmetricLoss,
    "zlpr": ZlprLoss,
}

ALL = [
    *(named_loss(name, reduction="none") for name in LOSSES),
    FocalLoss(0.5, reduction="none"),
    AsymmetricLoss(1.0, 4.0, 0.05, reduction="none"),
    AsymmetricLoss(0.0, 3.0, 0.0, reduction="none"),
    AsymmetricLoss(0.5, 0.0, 0.1, reduction="none"),
]
LOSS_IDS = [repr(loss) for loss in ALL]
each_loss = pytest.mark.parametrize("loss", ALL, ids=LOSS_IDS)


def batch(num_samples=32, num_classes=6, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_samples, num_classes, generator=generator, dtype=torch.float64)
    targets = torch.rand(num_samples, num_classes, generator=generator) < 0.4
    targets[0] = False
    targets[1] = True
    return logits.to(dtype), targets


def value_and_gradient(loss, logits, targets, **options):
    leaf = logits.detach().clone().requires_grad_()
    values = loss(leaf, targets, **options)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient


def test_losses_and_gradients_agree_with_the_golden_values_of_the_library():
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) > 200
    for case in golden:
        options = dict(case["loss"])
        loss = MODULES[options.pop("name")](**options, reduction="none")
        logits = torch.tensor([case["logits"]], dtype=torch.float64)
        targets = torch.zeros_like(logits, dtype=torch.bool)
        targets[0, case["labels"]] = True
        value, gradient = value_and_gradient(loss, logits, targets)
        scale = 1 + abs(case["value"])
        assert abs(value.item() - case["value"]) < ROUNDING * scale, case
        expected = torch.tensor([case["gradient"]], dtype=torch.float64)
        assert (gradient - expected).abs().max() < ROUNDING * scale, case


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_library(name):
    """Logits up to ±40, label sets of every size, with and without class weights."""
    logits, targets = batch(200, 7)
    logits[::3] *= 4
    weight = torch.linspace(0.25, 3, 7, dtype=torch.float64)
    for given in (None, weight):
        loss = named_loss(name, reduction="none", class_weight=given)
        values, gradient = value_and_gradient(loss, logits, targets)
        expected, slopes = tagwise.loss_and_gradient(
            logits.numpy(), targets.numpy(), name, class_weight=None if given is None else weight.numpy()
        )
        scale = 1 + np.abs(expected)
        assert (np.abs(values.numpy() - expected) < ROUNDING * scale).all()
        assert (np.abs(gradient.numpy() - slopes) < ROUNDING * scale[:, None]).all()


def test_every_loss_of_the_library_is_here():
    assert list(LOSSES) == [info.name for info in tagwise.LOSSES]


@each_loss
def test_gradcheck_in_f64(loss):
    logits, targets = batch(5, 4)
    torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())
    torch.autograd.gradgradcheck(lambda z: loss(z, targets), logits.requires_grad_())


@each_loss
def test_class_weights_multiply_what_a_label_of_the_set_costs(loss):
    """The slopes with weights, against the slope of the weighted sum of parts that each know."""
    logits, targets = batch()
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0, 0.25], dtype=torch.float64)
    loss = type(loss)(**loss._options(), reduction="none", class_weight=weight)
    plain = type(loss)(**loss._options(), reduction="none")
    values, _ = value_and_gradient(loss, logits, targets)
    torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())
    for row in range(len(logits)):
        z, hot = logits[row].detach(), targets[row]
        if isinstance(loss, PickAllLabelsLoss):
            log_p = z.log_softmax(-1)
            expected = -(weight * log_p)[hot].sum()
            if loss.weighting == "mean":
                expected = expected / max(int(hot.sum()), 1)
        elif isinstance(loss, ZlprLoss):
            expected = torch.log1p(z[~hot].exp().sum())
            expected = expected + torch.log1p((weight * (-z).exp())[hot].sum())
        else:
            parts = [plain(z[k].view(1, 1), hot[k].view(1, 1)).sum() for k in range(len(z))]
            factors = torch.where(hot, weight, 1.0)
            expected = sum(f * part for f, part in zip(factors, parts, strict=True))
        assert abs(values[row] - expected) < ROUNDING * (1 + abs(expected))


def test_pick_all_labels_is_cross_entropy_with_multi_hot_or_spread_targets():
    logits, targets = batch()
    hot = targets.double()
    pal = functional.pick_all_labels_loss(logits, targets, reduction="none")
    assert (pal - F.cross_entropy(logits, hot, reduction="none")).abs().max() < ROUNDING
    spread = hot / hot.sum(-1, keepdim=True).clamp(min=1)
    pal_n = functional.pick_all_labels_loss(logits, targets, weighting="mean", reduction="none")
    assert (pal_n - F.cross_entropy(logits, spread, reduction="none")).abs().max() < ROUNDING


def test_binary_cross_entropy_is_pytorchs_times_the_number_of_classes():
    logits, targets = batch()
    weight = torch.linspace(0.5, 3, 6, dtype=torch.float64)
    ours = BinaryCrossEntropyLoss(class_weight=weight)(logits, targets)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=weight)(logits, targets.double())
    assert abs(ours - 6 * theirs) < ROUNDING * ours


@pytest.mark.parametrize("weighting", ["sum", "mean"])
def test_an_empty_label_set_costs_nothing_and_pulls_nowhere(weighting):
    loss = PickAllLabelsLoss(weighting, reduction="none")
    logits = torch.tensor([[3.0, -1.0, 2.0], [-torch.inf] * 3, [torch.inf, 0.0, 0.0]])
    values, gradient = value_and_gradient(loss, logits[:2], torch.zeros(2, 3))
    assert torch.equal(values, torch.zeros(2)) and not values.signbit().any()
    assert torch.equal(gradient, torch.zeros(2, 3))


@each_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_masked_logits_give_the_loss_without_them(loss, dtype):
    logits, targets = batch(dtype=dtype)
    targets[:, [1, 4]] = False
    kept = [0, 2, 3, 5]
    expected, slopes = value_and_gradient(loss, logits[:, kept], targets[:, kept])
    masked = logits.clone()
    masked[:, [1, 4]] = -torch.inf
    values, gradient = value_and_gradient(loss, masked, targets)
    assert torch.equal(gradient[:, [1, 4]], torch.zeros_like(gradient[:, [1, 4]]))
    tolerance = 1e-12 if dtype is torch.float64 else 1e-5
    assert torch.allclose(values, expected, rtol=tolerance, atol=tolerance)
    assert torch.allclose(gradient[:, kept].float(), slopes.float(), rtol=1e-2, atol=tolerance)


@each_loss
def test_a_masked_label_in_the_set_is_dear_and_gives_no_nan(loss):
    logits = torch.tensor([[-torch.inf, 0.5, 1.0], [-torch.inf, 2.0, 0.0]])
    targets = torch.tensor([[1, 1, 0], [1, 0, 0]])
    values, gradient = value_and_gradient(loss, logits, targets)
    assert (values > 1e37).all()
    assert gradient.isfinite().all()


@each_loss
def test_no_finite_logit_gives_a_number_that_is_not_finite(loss):
    logits = torch.tensor([1e4, -1e4, 800.0, -800.0, 0.0, 40.0], dtype=torch.float64)
    targets = (torch.arange(64).unsqueeze(1) >> torch.arange(6)) & 1
    values, gradient = value_and_gradient(loss, logits.expand(64, 6), targets)
    assert values.isfinite().all() and (values >= 0).all() and gradient.isfinite().all()


@each_loss
def test_targets_of_every_type_are_the_same_targets(loss):
    logits, targets = batch()
    expected = loss(logits, targets)
    for dtype in (torch.uint8, torch.int32, torch.int64, torch.float16, torch.float32):
        assert torch.equal(loss(logits, targets.to(dtype)), expected)


@each_loss
def test_leading_dimensions_are_samples(loss):
    logits, targets = batch(12, 5)
    values = loss(logits.view(3, 4, 5), targets.view(3, 4, 5))
    assert torch.equal(values, loss(logits, targets).view(3, 4))


@each_loss
def test_reductions_and_sample_weights(loss):
    logits, targets = batch()
    weight = torch.linspace(0, 2, len(logits), dtype=torch.float64)
    each = loss(logits, targets)
    of = {name: type(loss)(**loss._options(), reduction=name) for name in ("mean", "sum", "none")}
    assert torch.allclose(of["sum"](logits, targets), each.sum())
    assert torch.allclose(of["mean"](logits, targets), each.mean())
    assert torch.equal(of["none"](logits, targets, weight), each * weight)
    assert torch.allclose(of["sum"](logits, targets, weight), (each * weight).sum())
    expected = (each * weight).sum() / weight.sum()
    assert torch.allclose(of["mean"](logits, targets, weight), expected)
    assert of["mean"](logits, targets, 0 * weight) == 0
    assert of["mean"](logits[:0], targets[:0]) == 0
    assert of["none"](logits[:0], targets[:0]).shape == (0,)


@each_loss
def test_half_precision_and_autocast_compute_in_f32(loss):
    logits, targets = batch(dtype=torch.float32)
    for dtype in (torch.float16, torch.bfloat16):
        narrow = logits.to(dtype)
        values = loss(narrow, targets)
        assert values.dtype is torch.float32
        assert torch.equal(values, loss(narrow.float(), targets))
    with torch.autocast("cpu", torch.bfloat16):
        values = loss(logits, targets)
    assert values.dtype is torch.float32 and torch.equal(values, loss(logits, targets))


@each_loss
def test_vmap_over_samples_is_the_batch(loss):
    logits, targets = batch()
    for kind in (torch.bool, torch.float64):
        values = torch.func.vmap(loss)(logits, targets.to(kind))
        assert torch.allclose(values, loss(logits, targets), rtol=1e-13)


@each_loss
def test_compiles_into_one_graph(loss):
    logits, targets = batch(dtype=torch.float32)
    weight = torch.linspace(0.5, 2, len(logits))
    torch._dynamo.reset()  # every loss here is another kind of the same function
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    values, gradient = value_and_gradient(compiled, logits, targets.long(), sample_weight=weight)
    expected, slopes = value_and_gradient(loss, logits, targets.long(), sample_weight=weight)
    assert torch.allclose(values, expected) and torch.allclose(gradient, slopes, atol=1e-6)


def test_compiled_code_of_inductor_has_the_same_gradient():
    logits, targets = batch(dtype=torch.float32)
    weights = LabelSetWeights(targets, balance=0.5)
    loss = PickAllLabelsLoss("mean", reduction="none", set_weight=weights)
    compiled = torch.compile(loss, fullgraph=True)
    values, gradient = value_and_gradient(compiled, logits, targets)
    expected, slopes = value_and_gradient(loss, logits, targets)
    assert torch.allclose(values, expected) and torch.allclose(gradient, slopes, atol=1e-6)


def test_label_set_weights_are_powers_of_counts_times_factors():
    targets = torch.tensor([[1, 0, 0]] * 4 + [[1, 1, 0]] * 2 + [[0, 0, 0]] * 2)
    weights = LabelSetWeights(targets, balance=1.0, factors={(1, 0): 2.0}, unseen=7.0)
    raw = torch.tensor([1 / 4] * 4 + [1.0] * 2 + [1 / 2] * 2)
    assert torch.allclose(weights(targets), raw / raw.mean())
    assert weights(torch.tensor([0, 1, 1])) == 7.0
    logits = torch.randn(8, 3)
    loss = PickAllLabelsLoss(set_weight=weights)
    each = functional.pick_all_labels_loss(logits, targets, reduction="none")
    assert torch.allclose(loss(logits, targets), (each * raw).sum() / raw.sum())
    restored = LabelSetWeights(targets)
    restored.load_state_dict(weights.state_dict())
    assert torch.equal(restored(targets), weights(targets))


def test_balanced_class_weights_let_every_class_weigh_the_same():
    _, targets = batch(200, 5, seed=3)
    counts = targets.sum(0)
    competing = balanced_class_weight(targets)
    assert torch.allclose(competing * counts, (competing * counts)[0].expand(5))
    assert torch.allclose((competing * counts).sum() / counts.sum(), torch.tensor(1.0).double())
    separable = balanced_class_weight(targets, "bce")
    assert torch.allclose(separable * counts, (200.0 - counts).double())
    assert balanced_class_weight(torch.tensor([[1, 0]]))[1] == 1.0


def test_losses_are_named_and_say_their_options():
    assert [named_loss(name).__class__.__name__ for name in LOSSES] == [
        "PickAllLabelsLoss",
        "PickAllLabelsLoss",
        "BinaryCrossEntropyLoss",
        "FocalLoss",
        "AsymmetricLoss",
        "ZlprLoss",
    ]
    assert repr(FocalLoss(1.0)) == "FocalLoss(gamma=1.0, reduction='mean')"


LOGITS = torch.zeros(2, 3)
HOT = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda loss: loss([[0.0]], HOT), "expected logits as a torch.Tensor, found list"),
        (lambda loss: loss(LOGITS, HOT.numpy()), "expected targets as a torch.Tensor, found ndarray"),
        (lambda loss: loss(LOGITS.long(), HOT), "expected logits of a floating-point type, found torch.int64"),
        (
            lambda loss: loss(LOGITS, HOT[:, 0]),
            "expected logits and targets of one shape [..., K], found logits [2, 3] and targets [2]",
        ),
        (lambda loss: loss(LOGITS[0, 0], HOT[0, 0]), "of one shape [..., K], found logits [] and"),
        (lambda loss: loss(LOGITS, HOT + 0.5), "expected targets of 0 and 1, found 0.5; soft labels"),
        (lambda loss: loss(LOGITS, HOT - 1), "expected targets of 0 and 1, found -1;"),
        (lambda loss: loss(LOGITS, HOT * torch.nan), "expected targets of 0 and 1, found nan;"),
        (lambda loss: loss(LOGITS, HOT.to("meta")), "expected targets on the device of the logits, cpu, found meta"),
        (
            lambda loss: loss(LOGITS, HOT, sample_weight=torch.ones(3)),
            "expected sample_weight of shape [2], one for each sample, found [3]",
        ),
        (
            lambda loss: loss(LOGITS, HOT, class_weight=torch.ones(2)),
            "expected class_weight of shape [3], one for each class, found [2]",
        ),
        (lambda loss: loss(LOGITS, HOT, reduction="avg"), "expected reduction to be one of"),
    ],
)
@pytest.mark.parametrize(
    "loss",
    [
        functional.pick_all_labels_loss,
        functional.binary_cross_entropy_loss,
        functional.focal_loss,
        functional.asymmetric_loss,
        functional.zlpr_loss,
    ],
)
def test_bad_input_ends_in_one_sentence(loss, call, message):
    with pytest.raises((ValueError, TypeError)) as failure:
        call(loss)
    assert message in str(failure.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PickAllLabelsLoss("max"), "expected weighting to be 'sum' or 'mean', found 'max'"),
        (lambda: ZlprLoss(reduction="avg"), "found 'avg'"),
        (lambda: FocalLoss(-1.0), "expected gamma to be a finite number of at least 0, found -1.0"),
        (lambda: AsymmetricLoss(margin=1.0), "expected margin to be at least 0 and below 1, found 1.0"),
        (lambda: AsymmetricLoss(float("nan")), "expected gamma_positive to be a finite number"),
        (lambda: ZlprLoss(class_weight=torch.zeros(3)), "expected class_weight of shape [K] with"),
        (lambda: named_loss("hinge"), "expected a loss among pal, pal-n, bce, focal, asl, zlpr, found 'hinge'"),
        (lambda: LabelSetWeights(HOT[:0]), "expected targets of shape [N, K] with a sample, found [0, 3]"),
        (lambda: LabelSetWeights(HOT, balance=-1), "expected balance to be finite and at least 0"),
        (lambda: LabelSetWeights(HOT, factors={(0,): 2.0}), "which no sample of targets carries"),
        (lambda: LabelSetWeights(HOT, factors={(3,): 2.0}), "expected labels 0 to 2 in factors"),
        (lambda: LabelSetWeights(HOT, factors={(): 0.0}), "expected factors that leave a sample"),
        (lambda: LabelSetWeights(HOT)(HOT[:, :2]), "expected targets of 3 classes, found shape [2, 2]"),
        (lambda: balanced_class_weight(HOT, "hinge"), "expected a loss among"),
    ],
)
def test_bad_options_end_in_one_sentence(build, message):
    with pytest.raises(ValueError) as failure:
        build()
    assert message in str(failure.value)
