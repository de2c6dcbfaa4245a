//! Lanczos resizing of colour images, to the bit as Pillow's `Image.resize(…, LANCZOS)`.
//!
//! The paper's SVHN images were made with Pillow 9 or earlier. It filters rows and then columns
//! with weights rounded to 22 bits after the point, and rounds to a byte after each; recent
//! versions may filter columns first and then differ where a byte was cut off at 0 or 255.

/// Lanczos windows reach this many source pixels (or target pixels when shrinking) each way.
const SUPPORT: f64 = 3.0;

/// Bits after the point of a weight.
const PRECISION: u32 = 22;

/// The weights of one target pixel: they apply to the source pixels from `first` on.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Resizes an image of three channels.
///
/// # Shapes
/// `pixels` is `[height, width, 3]`; returns `[new_height, new_width, 3]`.
pub(super) fn lanczos(
    pixels: &[u8],
    (height, width): (usize, usize),
    (new_height, new_width): (usize, usize),
) -> Vec<u8> {
    assert_eq!(pixels.len(), height * width * 3);
    let rows = match width == new_width {
        true => pixels.to_vec(),
        false => resize_rows(pixels, width, &windows(width, new_width)),
    };
    match height == new_height {
        true => rows,
        false => resize_columns(&rows, new_width, &windows(height, new_height)),
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

fn resize_rows(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut resized = Vec::with_capacity(pixels.len() / width * windows.len());
    for row in pixels.chunks_exact(width * 3) {
        for Window { first, weights } in windows {
            for channel in 0..3 {
                let source = row[first * 3 + channel..].iter().step_by(3);
                resized.push(weighted(weights, source));
            }
        }
    }
    resized
}

fn resize_columns(pixels: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut resized = Vec::with_capacity(windows.len() * width * 3);
    for Window { first, weights } in windows {
        for column in 0..width * 3 {
            let source = pixels[first * width * 3 + column..]
                .iter()
                .step_by(width * 3);
            resized.push(weighted(weights, source));
        }
    }
    resized
}

fn weighted<'a>(weights: &[i32], pixels: impl Iterator<Item = &'a u8>) -> u8 {
    let half = 1i64 << (PRECISION - 1);
    let products = weights
        .iter()
        .zip(pixels)
        .map(|(&w, &p)| i64::from(w) * i64::from(p));
    ((half + products.sum::<i64>()) >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        size: (usize, usize),
        new_size: (usize, usize),
        pixels: Vec<u8>,
        resized: Vec<u8>,
    }

    /// Images made and resized by Pillow, see `tests/golden/pillow_lanczos.py`.
    #[test]
    fn resized_bytes_are_those_of_pillow() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/golden/pillow_lanczos.json")).unwrap();
        assert_eq!(cases.len(), 8);
        for case in cases {
            let resized = lanczos(&case.pixels, case.size, case.new_size);
            assert_eq!(
                resized, case.resized,
                "{:?} to {:?}",
                case.size, case.new_size
            );
        }
    }

    #[test]
    fn a_flat_image_stays_flat() {
        let resized = lanczos(&[200; 13 * 7 * 3], (13, 7), (32, 5));
        assert_eq!(resized, vec![200; 32 * 5 * 3]);
    }
}
