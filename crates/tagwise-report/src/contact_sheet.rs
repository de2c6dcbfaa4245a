//! Example images with their true and decoded label sets.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use tagwise_base::LabelSet;

use crate::markup::Escaped;
use crate::sprite;
use crate::{Error, Result};

/// Example images in one sprite, each with its true and its decoded label set.
///
/// ```
/// use tagwise_base::LabelSet;
/// use tagwise_report::{ContactSheet, Example};
///
/// let examples = vec![Example { truth: LabelSet::new([1, 4]), decoded: LabelSet::new([1]) }];
/// let pixels = vec![128; 16 * 16]; // one grey image, [N, H, W, C]
/// let sheet = ContactSheet::new(&pixels, [16, 16, 1], examples)?;
/// assert!(sheet.html(&[]).contains("true {1, 4}, decoded {1}: wrong"));
/// # Ok::<(), tagwise_report::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactSheet {
    /// What to see in it; may be empty.
    #[serde(default)]
    pub caption: String,
    /// Rows of one image.
    pub height: usize,
    /// Columns of one image.
    pub width: usize,
    /// All images, one below the other, as a PNG file.
    #[serde(with = "sprite::as_base64")]
    pub sprite: Vec<u8>,
    /// The sets of each image.
    pub examples: Vec<Example>,
}

/// True and decoded labels of one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The labels of the data set.
    pub truth: LabelSet,
    /// The labels that were decoded.
    pub decoded: LabelSet,
}

impl ContactSheet {
    /// Packs images with pixels 0 to 255 into one sprite.
    ///
    /// # Shapes
    /// `pixels`: `[N, H, W, C]` row-major with `shape = [H, W, C]`, C = 1 (grey) or 3 (red, green,
    /// blue), and N = `examples.len()`.
    ///
    /// # Errors
    /// [`Error::Channels`] for other C, [`Error::PixelCount`] when the sizes do not agree.
    pub fn new(pixels: &[u8], shape: [usize; 3], examples: Vec<Example>) -> Result<Self> {
        let [height, width, channels] = shape;
        let colour = match channels {
            1 => png::ColorType::Grayscale,
            3 => png::ColorType::Rgb,
            other => return Err(Error::Channels(other)),
        };
        let num_examples = examples.len();
        let expected = num_examples * height * width * channels;
        if pixels.len() != expected {
            return Err(Error::PixelCount {
                expected,
                num_examples,
                height,
                width,
                channels,
                found: pixels.len(),
            });
        }
        let sprite = if expected == 0 {
            Vec::new()
        } else {
            sprite::encode_png(pixels, width, num_examples * height, colour)?
        };
        Ok(Self {
            caption: String::new(),
            height,
            width,
            sprite,
            examples,
        })
    }

    /// How many examples were decoded exactly.
    pub fn num_right(&self) -> usize {
        self.examples
            .iter()
            .filter(|example| example.truth == example.decoded)
            .count()
    }

    /// The sheet as an HTML element; classes without a name are shown by their number.
    pub fn html(&self, class_names: &[String]) -> String {
        let num_examples = self.examples.len();
        let mut html = String::from("<ul class=\"sheet\">");
        for (position, example) in self.examples.iter().enumerate() {
            let truth = set_name(&example.truth, class_names);
            let decoded = set_name(&example.decoded, class_names);
            let (class, mark, word) = if example.truth == example.decoded {
                ("right", "✓", "right")
            } else {
                ("wrong", "✗", "wrong")
            };
            // percentages place the sprite whatever the size of the frame
            let offset = 100.0 * position as f64 / (num_examples.max(2) - 1) as f64;
            let _ = write!(
                html,
                "<li class=\"{class}\"><div class=\"thumb\" role=\"img\" aria-label=\"true {t}, decoded {d}: {word}\" \
                 style=\"background-position:0 {offset:.4}%\"></div>\
                 <p><b>{t}</b> <span class=\"mark\" aria-hidden=\"true\">{mark}</span></p>",
                t = Escaped(&truth),
                d = Escaped(&decoded),
            );
            if example.truth != example.decoded {
                let _ = write!(html, "<p class=\"read\">read as {}</p>", Escaped(&decoded));
            }
            html.push_str("</li>");
        }
        html.push_str("</ul>");
        html
    }

    /// The style rule that gives every thumbnail its image.
    pub(crate) fn css(&self) -> String {
        format!(
            ".thumb{{aspect-ratio:{}/{};background-image:url({});background-size:100% {}%}}",
            self.width.max(1),
            self.height.max(1),
            sprite::data_uri(&self.sprite),
            100 * self.examples.len().max(1)
        )
    }
}

/// "{cat, dog}", with numbers where names are missing.
pub(crate) fn set_name(set: &LabelSet, class_names: &[String]) -> String {
    let names: Vec<String> = set
        .indices()
        .map(|class| match class_names.get(class) {
            Some(name) => name.clone(),
            None => class.to_string(),
        })
        .collect();
    if names.is_empty() {
        return "no label".into();
    }
    format!("{{{}}}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(truth: &[u32], decoded: &[u32]) -> Example {
        Example {
            truth: LabelSet::new(truth.iter().copied()),
            decoded: LabelSet::new(decoded.iter().copied()),
        }
    }

    #[test]
    fn the_sprite_holds_the_pixels() {
        let pixels: Vec<u8> = (0..2 * 3 * 4 * 3).map(|value| value as u8 * 3).collect();
        let examples = vec![example(&[0], &[0]), example(&[1], &[0])];
        let sheet = ContactSheet::new(&pixels, [3, 4, 3], examples).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&sheet.sprite))
            .read_info()
            .unwrap();
        let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut decoded).unwrap();
        assert_eq!((frame.width, frame.height), (4, 6));
        assert_eq!(decoded, pixels);
        assert_eq!(sheet.num_right(), 1);
    }

    #[test]
    fn sets_are_named_and_marked() {
        let names = ["cat".to_owned(), "<dog>".to_owned()];
        let examples = vec![
            example(&[0], &[0]),
            example(&[0, 1], &[0]),
            example(&[], &[7]),
        ];
        let sheet = ContactSheet::new(&[0; 12], [2, 2, 1], examples).unwrap();
        insta::assert_snapshot!(sheet.html(&names).replace("><", ">\n<"), @r#"
        <ul class="sheet">
        <li class="right">
        <div class="thumb" role="img" aria-label="true {cat}, decoded {cat}: right" style="background-position:0 0.0000%">
        </div>
        <p>
        <b>{cat}</b> <span class="mark" aria-hidden="true">✓</span>
        </p>
        </li>
        <li class="wrong">
        <div class="thumb" role="img" aria-label="true {cat, &lt;dog&gt;}, decoded {cat}: wrong" style="background-position:0 50.0000%">
        </div>
        <p>
        <b>{cat, &lt;dog&gt;}</b> <span class="mark" aria-hidden="true">✗</span>
        </p>
        <p class="read">read as {cat}</p>
        </li>
        <li class="wrong">
        <div class="thumb" role="img" aria-label="true no label, decoded {7}: wrong" style="background-position:0 100.0000%">
        </div>
        <p>
        <b>no label</b> <span class="mark" aria-hidden="true">✗</span>
        </p>
        <p class="read">read as {7}</p>
        </li>
        </ul>
        "#);
    }

    #[test]
    fn a_sheet_survives_json() {
        let sheet = ContactSheet::new(&[9; 4], [2, 2, 1], vec![example(&[1], &[])]).unwrap();
        let json = serde_json::to_string(&sheet).unwrap();
        assert_eq!(serde_json::from_str::<ContactSheet>(&json).unwrap(), sheet);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let wrong = ContactSheet::new(&[0; 5], [2, 2, 1], vec![example(&[], &[])]);
        assert_eq!(
            wrong.unwrap_err().to_string(),
            "contact sheet: expected 4 bytes for 1 images of 2×2×1, found 5"
        );
        assert!(ContactSheet::new(&[0; 8], [2, 2, 2], vec![example(&[], &[])]).is_err());
    }

    #[test]
    fn an_empty_sheet_is_legal() {
        let sheet = ContactSheet::new(&[], [28, 28, 1], vec![]).unwrap();
        assert_eq!(sheet.html(&[]), "<ul class=\"sheet\"></ul>");
    }
}
