//! Lanczos resizing, to the bit as Pillow's `Image.resize(…, LANCZOS)`.
//!
//! The paper's SVHN images were made with Pillow 9 or earlier. It filters rows and then columns
//! with weights rounded to 22 bits after the point, and rounds to a byte after each; recent
//! versions may filter columns first and then differ where a byte was cut off at 0 or 255.

use crate::ImageShape;

/// Lanczos windows reach this many source pixels (or target pixels when shrinking) each way.
const SUPPORT: f64 = 3.0;

/// Bits after the point of a weight.
const PRECISION: u32 = 22;

/// One half, to round a sum of weighted bytes.
const HALF: i32 = 1 << (PRECISION - 1);

/// The weights of one target pixel: they apply to the source pixels from `first` on.
///
/// Their absolute values add up to less than 2, so that sums of weighted bytes fit into 32 bits.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes an image of 1 or 3 channels.
///
/// # Shapes
/// `pixels` is `[height, width, channels]`; returns `[new_height, new_width, channels]`.
pub(super) fn lanczos(
    pixels: &[u8],
    shape: ImageShape,
    (new_height, new_width): (usize, usize),
) -> Vec<u8> {
    assert_eq!(pixels.len(), shape.num_elements());
    let ImageShape {
        height,
        width,
        channels,
    } = shape;
    let rows = match width == new_width {
        true => pixels.to_vec(),
        false => {
            let windows = windows(width, new_width);
            match channels {
                1 => resize_rows::<1>(pixels, width, &windows),
                3 => resize_rows::<3>(pixels, width, &windows),
                _ => unreachable!("images are grey or in colour"),
            }
        }
    };
    match height == new_height {
        true => rows,
        false => resize_columns(&rows, new_width * channels, &windows(height, new_height)),
    }
}

fn windows(size: usize, new_size: usize) -> Vec<Window> {
    let scale = size as f64 / new_size as f64;
    let stretch = scale.max(1.0);
    let reach = SUPPORT * stretch;
    let window = |target: usize| {
        let center = (target as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = ((center + reach + 0.5) as usize).min(size);
        let weight = |x: usize| sinc_window((x as f64 - center + 0.5) / stretch);
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
        Window {
            first,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    (0..new_size).map(window).collect()
}

/// sinc(x)·sinc(x/3) within the support.
fn sinc_window(x: f64) -> f64 {
    let sinc = |x: f64| {
        let x = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { x.sin() / x }
    };
    if (-SUPPORT..SUPPORT).contains(&x) {
        sinc(x) * sinc(x / SUPPORT)
    } else {
        0.0
    }
}

/// Resizes every row of C channels.
fn resize_rows<const C: usize>(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut resized = Vec::with_capacity(pixels.len() / width * windows.len());
    for row in pixels.chunks_exact(width * C) {
        let row = row.as_chunks::<C>().0;
        for Window { first, weights } in windows {
            let mut sums = [HALF; C];
            for (pixel, &weight) in row[*first..].iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            resized.extend(sums.map(to_byte));
        }
    }
    resized
}

/// Resizes the columns of an image whose rows hold `row_len` numbers.
fn resize_columns(pixels: &[u8], row_len: usize, windows: &[Window]) -> Vec<u8> {
    let mut resized = Vec::with_capacity(windows.len() * row_len);
    let mut sums = vec![0; row_len];
    for Window { first, weights } in windows {
        sums.fill(HALF);
        let rows = pixels[first * row_len..].chunks_exact(row_len);
        for (row, &weight) in rows.zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        resized.extend(sums.iter().copied().map(to_byte));
    }
    resized
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        size: (usize, usize),
        new_size: (usize, usize),
        channels: usize,
        pixels: Vec<u8>,
        resized: Vec<u8>,
    }

    /// Images made and resized by Pillow, see `tests/golden/pillow_lanczos.py`.
    #[test]
    fn resized_bytes_are_those_of_pillow() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/golden/pillow_lanczos.json")).unwrap();
        assert_eq!(cases.len(), 16);
        for case in cases {
            let (height, width) = case.size;
            let shape = ImageShape::new(height, width, case.channels);
            let resized = lanczos(&case.pixels, shape, case.new_size);
            assert_eq!(resized, case.resized, "{shape:?} to {:?}", case.new_size);
        }
    }

    #[test]
    fn a_flat_image_stays_flat() {
        let resized = lanczos(&[200; 13 * 7 * 3], ImageShape::new(13, 7, 3), (32, 5));
        assert_eq!(resized, vec![200; 32 * 5 * 3]);
    }

    #[test]
    fn sums_of_weighted_bytes_fit_into_32_bits() {
        let sizes = (1..40).chain([64, 100, 1000, 4000]);
        for (size, new_size) in sizes
            .clone()
            .flat_map(|a| sizes.clone().map(move |b| (a, b)))
        {
            for Window { weights, .. } in windows(size, new_size) {
                let sum: i64 = weights.iter().map(|&w| i64::from(w.abs())).sum();
                assert!(
                    255 * sum + i64::from(HALF) < i64::from(i32::MAX),
                    "{size} {new_size}"
                );
            }
        }
    }
}
