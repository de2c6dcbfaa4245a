//! Colours: one restrained palette for light and dark pages, told apart by colour-blind readers.

use std::fmt::Write;

/// One colour of the palette on a light and on a dark page.
pub(crate) struct Tone {
    /// On [`LIGHT_PAGE`].
    pub light: &'static str,
    /// On [`DARK_PAGE`].
    pub dark: &'static str,
}

/// Background of the light page.
pub(crate) const LIGHT_PAGE: &str = "#ffffff";
/// Background of the dark page.
pub(crate) const DARK_PAGE: &str = "#14171c";

/// Colours of series in the order of use; blue, vermilion and green first, as these three stay
/// apart under every common colour vision deficiency (after Okabe and Ito, darkened or lightened
/// until text in them is readable).
pub(crate) const SERIES: [Tone; 8] = [
    tone("#0b62a8", "#6cb4f0"),
    tone("#bf4208", "#ff9a62"),
    tone("#08785a", "#4fc79a"),
    tone("#96468a", "#e29ad4"),
    tone("#866000", "#e6c05a"),
    tone("#59606e", "#b5bac6"),
    tone("#5b48c0", "#b3a1ff"),
    tone("#a8234a", "#ff8aa0"),
];

/// Names in CSS, the light colour and the dark colour of everything that is not a series.
pub(crate) const ROLES: [(&str, Tone); 6] = [
    ("ink", tone("#1b1f27", "#eceef2")),
    ("soft", tone("#565d6b", "#a3aab8")),
    ("grid", tone("#e4e7ec", "#2b303a")),
    ("axis", tone("#9aa1ae", "#5d6574")),
    ("page", tone(LIGHT_PAGE, DARK_PAGE)),
    ("panel", tone("#f6f7f9", "#1c2027")),
];

/// Ends of the diverging scale; drawn over the page with an opacity, so that they serve both pages.
pub(crate) const NEGATIVE: [u8; 3] = [0x1f, 0x6f, 0xb4];
/// See [`NEGATIVE`].
pub(crate) const POSITIVE: [u8; 3] = [0xc4, 0x54, 0x12];

const fn tone(light: &'static str, dark: &'static str) -> Tone {
    Tone { light, dark }
}

/// The light colour of a role, for presentation attributes.
pub(crate) fn role(name: &str) -> &'static str {
    ROLES
        .iter()
        .find(|(role, _)| *role == name)
        .map_or("#000000", |(_, tone)| tone.light)
}

/// The colour of the series at this position; colours repeat after eight.
pub(crate) fn series(position: usize) -> &'static Tone {
    &SERIES[position % SERIES.len()]
}

/// Colour and opacity of a value on the diverging scale that ends at `limit`.
pub(crate) fn diverging(value: f64, limit: f64) -> ([u8; 3], f64) {
    let colour = if value < 0.0 { NEGATIVE } else { POSITIVE };
    (colour, (value / limit).abs().min(1.0))
}

/// Red, green and blue of "#rrggbb".
pub(crate) fn rgb(hex: &str) -> [u8; 3] {
    let channel = |at: usize| {
        let digits = hex.get(at..at + 2).unwrap_or("00");
        u8::from_str_radix(digits, 16).unwrap_or(0)
    };
    [channel(1), channel(3), channel(5)]
}

/// "#rrggbb" of an end of the diverging scale.
pub(crate) fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Custom properties and classes: `.s1` strokes and `.f1` fills in the first series colour.
pub(crate) fn css() -> String {
    let variables = |pick: fn(&Tone) -> &'static str| {
        let mut css = String::new();
        for (name, tone) in &ROLES {
            let _ = write!(css, "--{name}:{};", pick(tone));
        }
        for (position, tone) in SERIES.iter().enumerate() {
            let _ = write!(css, "--c{}:{};", position + 1, pick(tone));
        }
        css
    };
    let (light, dark) = (variables(|tone| tone.light), variables(|tone| tone.dark));
    // What lies under the edge of a table that goes on beyond it.
    let (light, dark) = (light + "--shade:#1b1f2733;", dark + "--shade:#00000099;");
    let mut css = format!(
        ":root{{color-scheme:light dark;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    );
    for position in 1..=SERIES.len() {
        let _ = write!(
            css,
            ".s{position}{{stroke:var(--c{position})}}.f{position}{{fill:var(--c{position})}}"
        );
    }
    css.push('\n');
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.1 AA for text of normal size.
    const MIN_CONTRAST: f64 = 4.5;

    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_in_every_colour_is_readable_on_both_pages() {
        let texts = SERIES.iter().chain(
            ROLES
                .iter()
                .filter(|(name, _)| ["ink", "soft"].contains(name))
                .map(|(_, tone)| tone),
        );
        let panel = &ROLES[5].1;
        for tone in texts {
            for (text, page) in [
                (tone.light, LIGHT_PAGE),
                (tone.light, panel.light),
                (tone.dark, DARK_PAGE),
                (tone.dark, panel.dark),
            ] {
                let ratio = contrast(text, page);
                assert!(ratio >= MIN_CONTRAST, "{text} on {page}: {ratio:.2}");
            }
        }
    }

    /// What readers with a colour vision deficiency see, in linear RGB: Machado, Oliveira and Fernandes,
    /// "A Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
    const DEFICIENCIES: [(&str, [[f64; 3]; 3]); 3] = [
        (
            "protanopia",
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367322, 0.860646, -0.227968],
                [0.280085, 0.672501, 0.047413],
                [-0.011820, 0.042940, 0.968881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255528, -0.076749, -0.178779],
                [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900],
            ],
        ),
    ];

    /// CIE L*a*b* of a colour as a reader sees it.
    fn seen(hex: &str, by: &[[f64; 3]; 3]) -> [f64; 3] {
        let linear = rgb(hex).map(|byte| {
            let value = f64::from(byte) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        });
        let product = |matrix: &[[f64; 3]; 3], vector: [f64; 3]| {
            matrix.map(|row| row.iter().zip(vector).map(|(a, x)| a * x).sum::<f64>())
        };
        let linear = product(by, linear).map(|value| value.clamp(0.0, 1.0));
        const XYZ: [[f64; 3]; 3] = [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ];
        let [x, y, z] = product(&XYZ, linear);
        let root = |value: f64| match value > 0.008856 {
            true => value.cbrt(),
            false => 7.787 * value + 16.0 / 116.0,
        };
        let [x, y, z] = [root(x / 0.95047), root(y), root(z / 1.08883)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn difference(a: &str, b: &str, by: &[[f64; 3]; 3]) -> f64 {
        let (a, b) = (seen(a, by), seen(b, by));
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// About four just noticeable differences; lines carry their names besides.
    const APART: f64 = 10.0;

    #[test]
    fn the_first_three_series_stay_apart_under_every_deficiency() {
        for (name, by) in &DEFICIENCIES {
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                for pick in [|tone: &Tone| tone.light, |tone: &Tone| tone.dark] {
                    let (a, b) = (pick(&SERIES[i]), pick(&SERIES[j]));
                    let apart = difference(a, b, by);
                    assert!(apart >= APART, "{a} and {b}, {name}: {apart:.1}");
                }
            }
            let ends = difference(&hex(NEGATIVE), &hex(POSITIVE), by);
            assert!(ends >= 80.0, "{name}: {ends:.1}");
        }
    }

    #[test]
    fn white_numbers_are_readable_on_full_heat_map_cells() {
        for end in [NEGATIVE, POSITIVE] {
            assert!(contrast("#ffffff", &hex(end)) >= MIN_CONTRAST);
        }
    }
}
