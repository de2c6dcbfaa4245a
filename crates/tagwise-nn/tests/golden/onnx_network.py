"""Runs networks in ONNX Runtime and compares features and logits with those of Tagwise.

Needs: pip install numpy onnx onnxruntime safetensors. Run, in the folder of the crate:
cargo run --example onnx_network FOLDER && python tests/golden/onnx_network.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    arrays = load_file(path.with_suffix(".safetensors"))
    images = arrays["images"].transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(path)
    features, logits = session.run(["features", "logits"], {"images": images})
    errors = {}
    for name, found in [("features", features), ("logits", logits)]:
        expected = arrays[name]
        errors[name] = np.abs(found - expected).max() / np.abs(expected).max()
        assert errors[name] < 2e-5, (path.name, name, errors[name])
    (alone,) = session.run(["logits"], {"images": images[1:2]})
    np.testing.assert_allclose(alone, logits[1:2], rtol=1e-4, atol=1e-5)
    print(path.name, {name: f"{error:.1e}" for name, error in errors.items()})
