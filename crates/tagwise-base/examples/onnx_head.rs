//! Writes the head that `tests/golden/onnx_head.py` runs in ONNX Runtime.

use tagwise_base::LinearClassifier;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("expected the file to write")?;
    let head = LinearClassifier::from_rows(&[1.0, 0.5, -0.25, 2.0, 0.0, -1.5], &[0.125, -1.0], 3)?;
    let names = ["sea".to_string(), "sky".to_string()];
    std::fs::write(path, head.to_onnx(Some(&names)))?;
    Ok(())
}
