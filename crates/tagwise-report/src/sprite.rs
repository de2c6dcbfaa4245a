//! Images inside the page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Result;

/// The pixels as a PNG file with the strongest compression.
pub(crate) fn encode_png(
    pixels: &[u8],
    width: usize,
    height: usize,
    colour: png::ColorType,
) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width.max(1) as u32, height.max(1) as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}

/// The PNG file as an address that needs no file.
pub(crate) fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// CSV as an address that needs no file.
pub(crate) fn csv_uri(csv: &str) -> String {
    format!(
        "data:text/csv;charset=utf-8;base64,{}",
        STANDARD.encode(csv)
    )
}

/// Bytes as base64 text in JSON.
pub(crate) mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
