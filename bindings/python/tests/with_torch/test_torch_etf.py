"""The fixed simplex ETF head of tagwise.torch."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

import tagwise  # noqa: E402
from tagwise.torch import SimplexETFClassifier, nearest_simplex_etf, simplex_etf  # noqa: E402

ROUNDING = 1e-13


@pytest.mark.parametrize("num_classes", [2, 3, 10, 80])
@pytest.mark.parametrize("extra", [-1, 0, 5])
def test_rows_have_unit_norm_equal_angles_and_zero_sum(num_classes, extra):
    etf = simplex_etf(num_classes, num_classes + extra, dtype=torch.float64)
    cosine = -1 / (num_classes - 1)
    expected = torch.full((num_classes, num_classes), cosine, dtype=torch.float64)
    expected.fill_diagonal_(1.0)
    assert (etf @ etf.T - expected).abs().max() < ROUNDING
    of_library = torch.from_numpy(tagwise.simplex_etf(num_classes, num_classes + extra))
    assert (etf - of_library).abs().max() < ROUNDING
    assert etf.sum(0).abs().max() < ROUNDING * num_classes


@pytest.mark.parametrize("dim", [9, 10, 16])
def test_the_weight_is_a_buffer_that_moves_and_is_saved(dim):
    head = SimplexETFClassifier(10, in_features=dim)
    assert [name for name, _ in head.named_parameters()] == ["bias"]
    assert set(head.state_dict()) == {"weight", "bias"}
    features = torch.randn(4, dim, requires_grad=True)
    head(features).sum().backward()
    assert head.weight.grad is None and head.bias.grad is not None and features.grad is not None
    assert head.double().weight.dtype is torch.float64
    other = SimplexETFClassifier(10, in_features=dim, scale=3.0, dtype=torch.float64)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.weight, head.weight)
    assert head.to("meta").weight.device.type == "meta"


def test_a_scale_is_the_norm_of_the_rows_and_the_bias_may_be_left_out():
    head = SimplexETFClassifier(5, 8, bias=False, scale=4.0)
    assert torch.allclose(head.weight.norm(dim=1), torch.full((5,), 4.0))
    assert head.bias is None and list(head.parameters()) == []


@pytest.mark.parametrize("dim", [5, 6, 11])
def test_the_nearest_frame_of_a_turned_frame_is_itself(dim):
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64)).Q
    weight = 2.5 * simplex_etf(6, dim, dtype=torch.float64) @ turn
    frame, scale = nearest_simplex_etf(weight)
    assert abs(scale - 2.5) < 1e-12 and (2.5 * frame - weight).abs().max() < 1e-12


def test_no_rotation_and_no_scale_come_nearer():
    torch.manual_seed(1)
    weight = torch.randn(6, 9, dtype=torch.float64)
    frame, scale = nearest_simplex_etf(weight)
    assert (frame @ frame.T - simplex_etf(6, 6, dtype=torch.float64) @ simplex_etf(6, 6, dtype=torch.float64).T).abs().max() < 1e-12
    best = (weight - scale * frame).norm()
    for angle in (1e-3, 1e-2, 0.3):
        for other in (scale * (1 + angle), scale * (1 - angle)):
            assert (weight - other * frame).norm() > best
        skew = torch.randn(9, 9, dtype=torch.float64)
        turn = torch.linalg.matrix_exp(angle * (skew - skew.T))
        assert (weight - scale * frame @ turn).norm() > best


def test_a_start_from_a_trained_layer_keeps_its_bias_type_and_scale():
    layer = torch.nn.Linear(12, 4, dtype=torch.float64)
    head = SimplexETFClassifier.nearest(layer.weight, layer.bias)
    frame, scale = nearest_simplex_etf(layer.weight)
    assert torch.allclose(head.weight, scale * frame) and head.weight.dtype is torch.float64
    assert torch.equal(head.bias, layer.bias) and head.bias.data_ptr() != layer.bias.data_ptr()
    assert torch.allclose(
        SimplexETFClassifier.nearest(layer.weight, scale=1.0).weight.norm(dim=1),
        torch.ones(4, dtype=torch.float64),
    )
    assert SimplexETFClassifier.nearest(layer.weight).bias is None


def test_it_is_exported_with_its_weight():
    head = SimplexETFClassifier(4, 6)
    features = torch.randn(2, 6)
    exported = torch.export.export(head, (features,))
    assert torch.allclose(exported.module()(features), head(features))
    assert "weight" in exported.state_dict


def test_onnx_export_gives_the_same_logits(tmp_path):
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    head = SimplexETFClassifier(4, 6).eval()
    features = torch.randn(2, 6)
    path = tmp_path / "head.onnx"
    torch.onnx.export(head, (features,), path, dynamo=True)
    session = reference.ReferenceEvaluator(str(path))
    (logits,) = session.run(None, {session.input_names[0]: features.numpy()})
    assert torch.allclose(torch.from_numpy(logits), head(features), atol=1e-6)


def test_it_compiles_and_trains_only_its_bias():
    head = SimplexETFClassifier(3, 3)
    before = head.weight.clone()
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    compiled(torch.randn(5, 3)).square().sum().backward()
    optimiser.step()
    assert torch.equal(head.weight, before) and head.bias.abs().max() > 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: SimplexETFClassifier(10, 8),
            "no simplex ETF of 10 classes exists in 8 dimensions; use at least 9",
        ),
        (lambda: simplex_etf(1, 4), "expected num_classes of at least 2 for a simplex ETF, found 1"),
        (lambda: SimplexETFClassifier(3, 3, scale=0.0), "expected scale to be finite and greater than 0, found 0.0"),
        (lambda: SimplexETFClassifier(3, 3)(torch.zeros(2, 4)), "expected features of 3 dimensions, found shape [2, 4]"),
        (lambda: nearest_simplex_etf(torch.zeros(3)), "expected weight of shape [K, d], found [3]"),
        (lambda: nearest_simplex_etf(torch.full((3, 3), math.nan)), "expected weight of finite numbers"),
        (lambda: nearest_simplex_etf(torch.zeros(5, 3)), "no simplex ETF of 5 classes exists in 3 dimensions"),
        (lambda: SimplexETFClassifier.nearest(torch.ones(3, 3)), "expected scale to be finite and greater than 0"),
        (lambda: SimplexETFClassifier.nearest(torch.eye(3), torch.zeros(2)), "expected bias of shape [3], found [2]"),
    ],
)
def test_bad_input_ends_in_one_sentence(build, message):
    with pytest.raises(ValueError) as failure:
        build()
    assert message in str(failure.value)
