//! Pooling: global average, and maximum over 2×2 with stride 2.

use rayon::prelude::*;

use super::norm::Plane;

/// features[b, c] = mean over the pixels of y[b, ·, ·, c].
///
/// # Shapes
/// `y` is bordered `[B, h+2, w+2, pitch]`, `features` is `[B, d]` with d ≤ pitch.
pub(crate) fn global_average(plane: Plane, dim: usize, y: &[f32], features: &mut [f32]) {
    let pixels = plane.pixels() as f32;
    features
        .par_chunks_exact_mut(dim)
        .zip(y.par_chunks_exact(plane.bordered_len()))
        .for_each(|(features, y)| {
            features.fill(0.0);
            for row in 0..plane.height {
                let row = &y[plane.bordered_row(row)..][..plane.row_len()];
                for pixel in row.chunks_exact(plane.pitch) {
                    for (sum, value) in features.iter_mut().zip(pixel) {
                        *sum += value;
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
pub(crate) fn global_average_gradient(plane: Plane, dim: usize, gradient: &[f32], g: &mut [f32]) {
    let share = 1.0 / plane.pixels() as f32;
    let batch = gradient.len() / dim;
    g[..batch * plane.len()]
        .par_chunks_exact_mut(plane.len())
        .zip(gradient.par_chunks_exact(dim))
        .for_each(|(g, gradient)| {
            for pixel in g.chunks_exact_mut(plane.pitch) {
                let (real, surplus) = pixel.split_at_mut(dim);
                for (g, value) in real.iter_mut().zip(gradient) {
                    *g = value * share;
                }
                surplus.fill(0.0);
            }
        });
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
pub(crate) fn maximum(plane: Plane, batch: usize, x: &[f32], y: &mut [f32]) {
    let out = halved(plane);
    let row_step = (plane.width + 2) * plane.pitch;
    y[..batch * out.bordered_len()]
        .par_chunks_exact_mut(out.bordered_len())
        .zip(x.par_chunks_exact(plane.bordered_len()))
        .with_max_len(1)
        .for_each(|(y, x)| {
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
                        to[i] = a[i].max(b[i]).max(c[i].max(d[i]));
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
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let out = halved(plane);
    let row_step = (plane.width + 2) * plane.pitch;
    dx[..batch * plane.len()]
        .par_chunks_exact_mut(plane.len())
        .with_max_len(1)
        .enumerate()
        .for_each(|(image, dx)| {
            let x = &x[image * plane.bordered_len()..][..plane.bordered_len()];
            let y = &y[image * out.bordered_len()..][..out.bordered_len()];
            let dy = &dy[image * out.len()..][..out.len()];
            dx.fill(0.0);
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
                    let first = corners.iter().find(|(from, _)| x[from + i] == best[i]);
                    if let Some((_, to)) = first {
                        dx[to + i] = gradient[i];
                    }
                }
            }
        });
}
