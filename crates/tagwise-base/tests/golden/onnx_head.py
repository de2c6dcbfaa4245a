"""Runs a head in ONNX Runtime and compares its logits with X @ weight.T + bias in NumPy.

Needs: pip install numpy onnx onnxruntime. Run, in the folder of the crate:
cargo run --example onnx_head tests/golden/onnx/head.onnx && python tests/golden/onnx_head.py
The file stays, and the crate's tests make sure that they still write its bytes.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

path = Path(__file__).parent / "onnx" / "head.onnx"
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
assert {p.key: p.value for p in model.metadata_props} == {"class_names": '["sea","sky"]'}
weight = np.array([[1.0, 0.5, -0.25], [2.0, 0.0, -1.5]], np.float32)
bias = np.array([0.125, -1.0], np.float32)
session = onnxruntime.InferenceSession(path)
for n in [1, 5]:
    features = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    (logits,) = session.run(["logits"], {"features": features})
    np.testing.assert_allclose(logits, features @ weight.T + bias, rtol=1e-6, atol=1e-6)
print("the head is right")
