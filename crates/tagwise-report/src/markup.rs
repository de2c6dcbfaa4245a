//! Text and coordinates on their way into HTML and SVG.

use std::fmt::{self, Display, Write};

/// Text escaped for element content and for double-quoted attributes.
pub(crate) struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // XML 1.0 knows no other control characters, not even escaped.
                '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' => {
                    f.write_char('\u{fffd}')?
                }
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A coordinate with a tenth of a pixel and no trailing zero.
#[derive(Clone, Copy)]
pub(crate) struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as i64;
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            rest => {
                let sign = if tenths < 0 { "-" } else { "" };
                write!(f, "{sign}{}.{}", tenths.abs() / 10, rest.abs())
            }
        }
    }
}

/// Estimated width of text in pixels, for leaving room: fonts differ between readers' machines,
/// so this errs on the wide side.
pub(crate) fn text_width(text: &str, font_size: f64) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|character| match character {
            'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '('
            | ')' | '{' | '}' => 0.34,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
            'A'..='Z' => 0.69,
            '⁰'..='⁹' | '¹' | '²' | '³' | '⁻' => 0.4,
            _ => 0.57,
        })
        .sum();
    ems * font_size
}

/// The text cut to a number of characters, with an ellipsis where something is missing.
pub(crate) fn shorten(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.into();
    }
    let mut short: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_in_text_is_harmless() {
        assert_eq!(
            Escaped(r#"<script>alert("a" & 'b')</script>"#).to_string(),
            "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;"
        );
        assert_eq!(Escaped("a\0b\tc").to_string(), "a\u{fffd}b\tc");
    }

    #[test]
    fn coordinates_are_short() {
        let shown: Vec<String> = [0.0, 12.0, 12.34, -0.04, -0.26, -3.0, 99.96]
            .map(|value| Px(value).to_string())
            .into();
        assert_eq!(shown, ["0", "12", "12.3", "0", "-0.3", "-3", "100"]);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shorten("cat", 5), "cat");
        assert_eq!(shorten("caterpillar", 5), "cate…");
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_markup(text in any::<String>()) {
            let escaped = Escaped(&text).to_string();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        }

        #[test]
        fn coordinates_read_back_within_rounding(value in -2000.0f64..2000.0) {
            let back: f64 = Px(value).to_string().parse().unwrap();
            prop_assert!((back - value).abs() <= 0.05 + 1e-9);
        }
    }
}
