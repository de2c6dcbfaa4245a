//! Pooling: global average, and maximum over 2×2 with stride 2.

use super::output::Output;
use super::shape::Plane;
use crate::cpu::activations::{Element, View, ViewMut};
use crate::cpu::parallel;

/// features[b, c] = mean over the pixels of y[b, ·, ·, c].
///
/// # Shapes
/// `y` is bordered `[B, h+2, w+2, pitch]`, `features` is `[B, d]` with d ≤ pitch.
pub(crate) fn global_average(plane: Plane, dim: usize, y: View<'_>, features: &mut [f32]) {
    match y {
        View::F32(y) => average_all(plane, dim, y, features),
        View::Bf16(y) => average_all(plane, dim, y, features),
    }
}

fn average_all<E: Element>(plane: Plane, dim: usize, y: &[E], features: &mut [f32]) {
    let pixels = plane.pixels() as f32;
    parallel::for_each_chunk(features, dim, |image, features| {
        let y = &y[image * plane.bordered_len()..][..plane.bordered_len()];
        features.fill(0.0);
        for row in 0..plane.height {
            let row = &y[plane.bordered_row(row)..][..plane.row_len()];
            for pixel in row.chunks_exact(plane.pitch) {
                for (sum, value) in features.iter_mut().zip(pixel) {
                    *sum += value.wide();
                }
            }
        }
        for sum in features {
            *sum /= pixels;
        }
    });
}

/// g[b, ·, ·, c] = dfeatures[b, c] / pixels; surplus channels are zero.
///
/// # Shapes
/// `gradient` is `[B, d]`, `g` is `[B, h, w, pitch]` without border.
pub(crate) fn global_average_gradient(plane: Plane, dim: usize, gradient: &[f32], g: Output<'_>) {
    let batch = gradient.len() / dim;
    g.for_each_group(batch, plane.len(), 1, &|image, g| {
        let gradient = &gradient[image * dim..][..dim];
        match g {
            ViewMut::F32(g) => spread(plane, gradient, g),
            ViewMut::Bf16(g) => spread(plane, gradient, g),
        }
    });
}

fn spread<E: Element>(plane: Plane, gradient: &[f32], g: &mut [E]) {
    let share = 1.0 / plane.pixels() as f32;
    for pixel in g.chunks_exact_mut(plane.pitch) {
        let (real, surplus) = pixel.split_at_mut(gradient.len());
        for (g, value) in real.iter_mut().zip(gradient) {
            *g = E::narrow(value * share);
        }
        surplus.fill(E::default());
    }
}

/// The plane after a 2×2 maximum with stride 2; an odd last row or column is dropped.
pub(crate) fn halved(plane: Plane) -> Plane {
    Plane {
        height: plane.height / 2,
        width: plane.width / 2,
        pitch: plane.pitch,
    }
}

/// y = maximum over 2×2 windows of x, both bordered.
pub(crate) fn maximum(plane: Plane, batch: usize, x: View<'_>, y: ViewMut<'_>) {
    match (x, y) {
        (View::F32(x), ViewMut::F32(y)) => maximum_all(plane, batch, x, y),
        (View::Bf16(x), ViewMut::Bf16(y)) => maximum_all(plane, batch, x, y),
        _ => unreachable!("a maximum keeps the precision"),
    }
}

fn maximum_all<E: Element>(plane: Plane, batch: usize, x: &[E], y: &mut [E]) {
    let out = halved(plane);
    let row_step = (plane.width + 2) * plane.pitch;
    let y = &mut y[..batch * out.bordered_len()];
    parallel::for_each_chunk(y, out.bordered_len(), |image, y| {
        let x = &x[image * plane.bordered_len()..][..plane.bordered_len()];
        for row in 0..out.height {
            let from = plane.bordered_row(2 * row);
            let top = &x[from..from + plane.row_len()];
            let bottom = &x[from + row_step..][..plane.row_len()];
            let to = &mut y[out.bordered_row(row)..][..out.row_len()];
            let windows = top
                .chunks_exact(2 * plane.pitch)
                .zip(bottom.chunks_exact(2 * plane.pitch));
            for (to, (top, bottom)) in to.chunks_exact_mut(plane.pitch).zip(windows) {
                let (a, b) = top.split_at(plane.pitch);
                let (c, d) = bottom.split_at(plane.pitch);
                for i in 0..plane.pitch {
                    let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(E::wide);
                    to[i] = E::narrow(a.max(b).max(c.max(d)));
                }
            }
        }
    });
}

/// Sends each window's gradient to its first maximum in reading order; dx has no border.
///
/// # Shapes
/// `x` and `y` are bordered, `dy` is `[B, h/2, w/2, pitch]`, `dx` is `[B, h, w, pitch]`.
pub(crate) fn maximum_gradient(
    plane: Plane,
    batch: usize,
    x: View<'_>,
    y: View<'_>,
    dy: View<'_>,
    dx: Output<'_>,
) {
    let out = halved(plane);
    dx.for_each_group(batch, plane.len(), 1, &|image, dx| {
        let place = ImageOfMaximum { plane, out, image };
        match dx {
            ViewMut::F32(dx) => place.gradient(x, y, dy, dx),
            ViewMut::Bf16(dx) => place.gradient(x, y, dy, dx),
        }
    });
}

/// One image of a batch whose maxima were taken.
struct ImageOfMaximum {
    plane: Plane,
    out: Plane,
    image: usize,
}

impl ImageOfMaximum {
    fn gradient<E: Element>(&self, x: View<'_>, y: View<'_>, dy: View<'_>, dx: &mut [E]) {
        let &Self { plane, out, image } = self;
        let row_step = (plane.width + 2) * plane.pitch;
        let x = &E::of(x)[image * plane.bordered_len()..][..plane.bordered_len()];
        let y = &E::of(y)[image * out.bordered_len()..][..out.bordered_len()];
        let dy = &E::of(dy)[image * out.len()..][..out.len()];
        dx.fill(E::default());
        for (row, column) in (0..out.height).flat_map(|r| (0..out.width).map(move |c| (r, c))) {
            let from = plane.bordered_row(2 * row) + 2 * column * plane.pitch;
            let to = (2 * row * plane.width + 2 * column) * plane.pitch;
            let best = &y[out.bordered_row(row) + column * out.pitch..][..out.pitch];
            let gradient = &dy[(row * out.width + column) * out.pitch..][..out.pitch];
            let corners = [
                (from, to),
                (from + plane.pitch, to + plane.pitch),
                (from + row_step, to + plane.row_len()),
                (
                    from + row_step + plane.pitch,
                    to + plane.row_len() + plane.pitch,
                ),
            ];
            for i in 0..plane.pitch {
                let best = best[i].wide();
                let first = corners.iter().find(|(from, _)| x[from + i].wide() == best);
                if let Some((_, to)) = first {
                    dx[to + i] = gradient[i];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::kernel::output::Write;

    const BATCH: usize = 2;
    /// Both poolings are piecewise linear, so a difference is exact up to rounding.
    const TOLERANCE: f32 = 1e-3;
    const STEP: f32 = 1e-2;
    /// An odd plane: maximum pooling drops its last row and column.
    const PLANE: Plane = Plane {
        height: 5,
        width: 7,
        pitch: 8,
    };

    /// Distinct numbers in no order, farther apart than two steps.
    fn spread(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 379) % 1009) as f32 * 0.05).collect()
    }

    /// Compares a gradient, without border, with differences of `value` along the real pixels.
    fn expect_differences(gradient: &[f32], value: impl Fn(&[f32]) -> f32) {
        let x = spread(BATCH * PLANE.bordered_len());
        let row_len = PLANE.row_len();
        for image in 0..BATCH {
            for i in (0..PLANE.len()).step_by(3) {
                let bordered = PLANE.bordered_row(i / row_len) + i % row_len;
                let moved = |step: f32| {
                    let mut x = x.clone();
                    x[image * PLANE.bordered_len() + bordered] += step;
                    value(&x)
                };
                let numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let analytic = gradient[image * PLANE.len() + i];
                assert!(
                    (numeric - analytic).abs() < TOLERANCE,
                    "{image}, {i}: {analytic} but {numeric}"
                );
            }
        }
    }

    #[test]
    fn gradients_of_the_maximum_are_differences() {
        let out = halved(PLANE);
        let pooled = |x: &[f32]| {
            let mut y = vec![0.0; BATCH * out.bordered_len()];
            maximum(PLANE, BATCH, View::F32(x), ViewMut::F32(&mut y));
            y
        };
        let weights: Vec<f32> = (0..BATCH * out.len())
            .map(|i| (i % 7) as f32 * 0.1 - 0.3)
            .collect();
        let x = spread(BATCH * PLANE.bordered_len());
        let mut gradient = vec![f32::NAN; BATCH * PLANE.len()];
        let before = pooled(&x);
        let (x_view, y_view) = (View::F32(&x), View::F32(&before));
        let output = Output::new(ViewMut::F32(&mut gradient), Write::Replace);
        maximum_gradient(PLANE, BATCH, x_view, y_view, View::F32(&weights), output);
        expect_differences(&gradient, |x| {
            let y = pooled(x);
            let mut change = 0.0; // against the unmoved image: a sum of all would round it away
            for (image, weights) in weights.chunks_exact(out.len()).enumerate() {
                for (i, weight) in weights.iter().enumerate() {
                    let at = image * out.bordered_len()
                        + out.bordered_row(i / out.row_len())
                        + i % out.row_len();
                    change += weight * (y[at] - before[at]);
                }
            }
            change
        });
    }

    #[test]
    fn gradients_of_the_average_are_differences() {
        let dim = 6; // the last two channels are surplus
        let averaged = |x: &[f32]| {
            let mut features = vec![0.0; BATCH * dim];
            global_average(PLANE, dim, View::F32(x), &mut features);
            features
        };
        let weights: Vec<f32> = (0..BATCH * dim).map(|i| i as f32 - 4.0).collect();
        let mut gradient = vec![f32::NAN; BATCH * PLANE.len()];
        let output = Output::new(ViewMut::F32(&mut gradient), Write::Replace);
        global_average_gradient(PLANE, dim, &weights, output);
        let before = averaged(&spread(BATCH * PLANE.bordered_len()));
        expect_differences(&gradient, |x| {
            let changes = averaged(x).into_iter().zip(&before).zip(&weights);
            changes
                .map(|((after, before), weight)| weight * (after - before))
                .sum()
        });
    }
}
