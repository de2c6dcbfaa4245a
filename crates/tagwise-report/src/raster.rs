//! Small pictures as pixels, for programs that show no SVG.

use crate::{HeatMap, Result, Scatter, palette, sprite};

/// Pixels in red, green and blue on white.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// The largest side of a picture of cosines.
const MAP_SIDE: usize = 480;

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![255; 3 * width * height],
        }
    }

    /// Lays a colour over a pixel; nothing outside the picture.
    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], opacity: f64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        for (pixel, colour) in self.pixels[at..at + 3].iter_mut().zip(colour) {
            let mixed = f64::from(*pixel) * (1.0 - opacity) + f64::from(colour) * opacity;
            *pixel = mixed.round() as u8;
        }
    }

    /// Everything within `radius` of a distance, with soft edges.
    fn fill(
        &mut self,
        around: [(f64, f64); 2],
        reach: f64,
        colour: [u8; 3],
        opacity: f64,
        distance: impl Fn(f64, f64) -> f64,
    ) {
        let [(x0, y0), (x1, y1)] = around;
        let room = reach + 1.0;
        let columns = (x0.min(x1) - room).floor() as i64..=(x0.max(x1) + room).ceil() as i64;
        let rows = (y0.min(y1) - room).floor() as i64..=(y0.max(y1) + room).ceil() as i64;
        for y in rows {
            for x in columns.clone() {
                let beyond = distance(x as f64, y as f64) - reach;
                let cover = (0.5 - beyond).clamp(0.0, 1.0);
                if cover > 0.0 {
                    self.blend(x, y, colour, opacity * cover);
                }
            }
        }
    }

    fn dot(&mut self, at: (f64, f64), radius: f64, colour: [u8; 3], opacity: f64) {
        let away = move |x: f64, y: f64| (x - at.0).hypot(y - at.1);
        self.fill([at, at], radius, colour, opacity, away);
    }

    fn ring(&mut self, at: (f64, f64), radius: f64, colour: [u8; 3]) {
        let corner = |side: f64| (at.0 + side * radius, at.1 + side * radius);
        let away = move |x: f64, y: f64| ((x - at.0).hypot(y - at.1) - radius).abs();
        self.fill([corner(-1.0), corner(1.0)], 0.9, colour, 1.0, away);
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: [u8; 3]) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let square = (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
        let away = move |x: f64, y: f64| {
            let along = ((x - from.0) * dx + (y - from.1) * dy) / square;
            let along = along.clamp(0.0, 1.0);
            (x - from.0 - along * dx).hypot(y - from.1 - along * dy)
        };
        self.fill([from, to], 1.25, colour, 1.0, away);
    }

    fn into_png(self) -> Result<Picture> {
        let png = sprite::encode_png(&self.pixels, self.width, self.height, png::ColorType::Rgb)?;
        Ok(Picture {
            width: self.width,
            height: self.height,
            png,
        })
    }
}

/// A picture as a PNG file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The file.
    pub png: Vec<u8>,
}

impl HeatMap {
    /// The cells of the map alone, on white, with the colours of [`svg`](Self::svg).
    ///
    /// ```
    /// use tagwise_report::HeatMap;
    ///
    /// let map = HeatMap::ideal_simplex_etf(["a", "b", "c"].map(String::from).into());
    /// let picture = map.picture(Some(1.0))?;
    /// assert_eq!((picture.width, picture.height), (480, 480));
    /// # Ok::<(), tagwise_report::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`svg`](Self::svg).
    pub fn picture(&self, limit: Option<f64>) -> Result<Picture> {
        self.check_shape()?;
        let limit = limit.unwrap_or_else(|| Self::common_limit([self]));
        let num_classes = self.labels.len();
        let side = (MAP_SIDE / num_classes.max(1)).max(1);
        let mut canvas = Canvas::new((side * num_classes).max(1), (side * num_classes).max(1));
        for (row, values) in self.values.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let Some(value) = value else { continue };
                let (colour, opacity) = palette::diverging(*value, limit);
                for y in row * side..(row + 1) * side {
                    for x in column * side..(column + 1) * side {
                        canvas.blend(x as i64, y as i64, colour, opacity);
                    }
                }
            }
        }
        canvas.into_png()
    }
}

impl Scatter {
    /// The picture of [`svg`](Self::svg) without its names.
    ///
    /// # Errors
    /// [`crate::Error::Png`] when it cannot be encoded.
    pub fn picture(&self) -> Result<Picture> {
        let view = self.view();
        let (width, height) = Self::size();
        let mut canvas = Canvas::new(width as usize, height as usize);
        let ink = palette::rgb(palette::role("ink"));
        let series = |position: usize| palette::rgb(palette::series(position).light);
        let is_finite = |point: &&[f64; 2]| point.iter().all(|value| value.is_finite());
        let origin = view.px([0.0, 0.0]);
        for (position, arm) in self.arms.iter().enumerate() {
            if is_finite(&&arm.tip) {
                canvas.line(origin, view.px(arm.tip), series(position));
            }
        }
        canvas.dot(origin, 3.0, ink, 1.0);
        for (position, cloud) in self.clouds.iter().enumerate() {
            let colour = series(self.colour(position));
            for point in cloud.points.iter().filter(is_finite) {
                canvas.dot(view.px(*point), 2.2, colour, 0.75);
            }
        }
        for average in self.averages.iter().map(|average| &average.at) {
            if is_finite(&average) {
                canvas.ring(view.px(*average), 9.0, ink);
            }
        }
        canvas.into_png()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arm, Average, Cloud};

    fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
        let decoder = png::Decoder::new(std::io::Cursor::new(&picture.png));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let at = 3 * (y * picture.width + x);
        [pixels[at], pixels[at + 1], pixels[at + 2]]
    }

    #[test]
    fn cells_have_the_colours_of_the_scale() {
        let names = ["a", "b"].map(String::from).into();
        let map = HeatMap::from_fn("m", names, |i, j| match (i, j) {
            (0, 0) => 1.0,
            (0, 1) => -1.0,
            (1, 0) => 0.0,
            _ => f64::NAN,
        });
        let picture = map.picture(Some(1.0)).unwrap();
        assert_eq!(pixel(&picture, 100, 100), palette::POSITIVE);
        assert_eq!(pixel(&picture, 300, 100), palette::NEGATIVE);
        assert_eq!(pixel(&picture, 100, 300), [255; 3]);
        assert_eq!(pixel(&picture, 300, 300), [255; 3]);
    }

    #[test]
    fn a_plane_has_its_arms_dots_and_rings() {
        let plane = Scatter {
            arms: vec![Arm {
                name: "a".into(),
                tip: [0.0, 1.0],
            }],
            clouds: vec![Cloud {
                name: "a".into(),
                classes: vec![0],
                points: vec![[1.0, 0.0], [f64::NAN, 0.0]],
            }],
            averages: vec![Average {
                classes: vec![0, 1],
                at: [1.0, 1.0],
                scale: 1.0,
            }],
            ..Scatter::default()
        };
        let picture = plane.picture().unwrap();
        let view = plane.view();
        let at = |point: [f64; 2]| {
            let (x, y) = view.px(point);
            pixel(&picture, x.round() as usize, y.round() as usize)
        };
        let blue = palette::rgb(palette::series(0).light);
        assert_eq!(at([0.0, 0.5]), blue); // on the arm
        assert_ne!(at([1.0, 0.0]), [255; 3]); // the dot
        assert_eq!(at([1.0, 1.0]), [255; 3]); // within the ring
        assert_eq!(pixel(&picture, 2, 2), [255; 3]);
    }
}
