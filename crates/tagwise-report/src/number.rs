//! Numbers as a person reads them.

/// The value with the digits that matter, the same rule in tables, cards, labels and read-outs.
///
/// Four significant digits from 0.1 upwards, three below; plain notation between 0.001 and
/// 999,999, with commas between thousands, and powers of ten outside. So rates always carry four
/// decimals and a column of them lines up.
///
/// | value | shown |
/// |---|---|
/// | 0.97314 | `0.9731` |
/// | 2.4 | `2.400` |
/// | 31.416 | `31.42` |
/// | 0.0031234 | `0.00312` |
/// | 0.00003127 | `3.13e-5` |
/// | 12345.6 | `12,346` |
///
/// ```
/// use tagwise_report::format_number;
///
/// assert_eq!(format_number(0.97314), "0.9731");
/// assert_eq!(format_number(3.127e-5), "3.13e-5");
/// assert_eq!(format_number(f64::NAN), "NaN");
/// ```
pub fn format_number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let exponent = rounded_exponent(value);
    match exponent {
        6.. => format!("{value:.2e}"),
        3.. => group_thousands(&format!("{value:.0}")),
        0.. => format!("{value:.*}", 3 - exponent as usize),
        -2.. => format!("{value:.4}"),
        -3 => format!("{value:.5}"),
        _ => format!("{value:.2e}"),
    }
}

/// The decimal exponent of the value rounded to four significant digits.
fn rounded_exponent(value: f64) -> i32 {
    let scientific = format!("{value:.3e}");
    scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// A whole number with commas between thousands.
///
/// ```
/// assert_eq!(tagwise_report::format_count(11_172_810), "11,172,810");
/// ```
pub fn format_count(count: u64) -> String {
    group_thousands(&count.to_string())
}

fn group_thousands(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let mut grouped = String::from(sign);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// [`format_number`] in typographic dress for pages and pictures: a true minus sign and
/// "3.13×10⁻⁵" for powers of ten.
///
/// ```
/// use tagwise_report::typeset_number;
///
/// assert_eq!(typeset_number(-0.1111), "−0.1111");
/// assert_eq!(typeset_number(3.127e-5), "3.13×10⁻⁵");
/// ```
pub fn typeset_number(value: f64) -> String {
    let plain = format_number(value);
    match plain.split_once('e') {
        Some((mantissa, exponent)) => {
            format!("{}×10{}", true_minus(mantissa), superscript(exponent))
        }
        None if value.is_infinite() => plain.replace("inf", "∞").replace('-', "−"),
        None => true_minus(&plain),
    }
}

/// A sentence with its numbers in the same dress; words, names and paths stay as they are.
///
/// A number is what stands between spaces and punctuation and is nothing else.
pub(crate) fn typeset_sentence(text: &str) -> String {
    let word = |word: &str| {
        let inner = word.trim_matches(['(', ')', ',', ';', ':', '.', '=']);
        let is_number = inner.bytes().any(|byte| byte.is_ascii_digit())
            && inner
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b".,-e".contains(&byte))
            && inner.replace(',', "").parse::<f64>().is_ok();
        let dressed = match inner.split_once('e') {
            _ if !is_number => return word.to_string(),
            Some((mantissa, exponent)) => {
                format!("{}×10{}", true_minus(mantissa), superscript(exponent))
            }
            None => true_minus(inner),
        };
        word.replacen(inner, &dressed, 1)
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The text with a minus sign in place of a leading hyphen.
pub(crate) fn true_minus(text: &str) -> String {
    text.replace('-', "−")
}

pub(crate) fn superscript(exponent: &str) -> String {
    exponent
        .chars()
        .map(|digit| match digit {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' => '⁰',
            '4'..='9' => char::from_u32('⁴' as u32 + (digit as u32 - '4' as u32)).unwrap_or(digit),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_follow_the_magnitude() {
        let shown: Vec<String> = [
            0.0,
            1.0,
            -1.0 / 9.0,
            0.09996,
            9.9996,
            99.996,
            999.96,
            9999.6,
            999_999.0,
            1_234_567.0,
            0.0099996,
            0.000_999_96,
            0.00123,
            4.56e-12,
            f64::INFINITY,
            -0.0,
        ]
        .into_iter()
        .map(format_number)
        .collect();
        insta::assert_snapshot!(shown.join(" | "), @"0 | 1.000 | -0.1111 | 0.1000 | 10.00 | 100.0 | 1,000 | 10,000 | 1.00e6 | 1.23e6 | 0.0100 | 0.00100 | 0.00123 | 4.56e-12 | inf | 0");
    }

    #[test]
    fn sentences_are_typeset_where_numbers_stand() {
        for (plain, dressed) in [
            ("(λ_H = 1.75e-4), and -0.5.", "(λ_H = 1.75×10⁻⁴), and −0.5."),
            ("from 1,234 to 2", "from 1,234 to 2"),
            (
                "epoch-01.npz, run 1e-5.npz, m-lab",
                "epoch-01.npz, run 1e-5.npz, m-lab",
            ),
            ("NC_2: -1 e - x", "NC_2: −1 e - x"),
            ("", ""),
        ] {
            assert_eq!(typeset_sentence(plain), dressed);
        }
    }

    #[test]
    fn powers_of_ten_are_typeset() {
        assert_eq!(typeset_number(-1.5e-10), "−1.50×10⁻¹⁰");
        assert_eq!(typeset_number(6.789e23), "6.79×10²³");
        assert_eq!(typeset_number(f64::NEG_INFINITY), "−∞");
        assert_eq!(typeset_number(f64::NAN), "NaN");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(format_count(0), "0");
        assert_eq!(format_count(999), "999");
        assert_eq!(format_count(1000), "1,000");
        assert_eq!(format_number(-12345.0), "-12,345");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_close_to_the_value(mantissa in 1.0f64..10.0, exponent in -14i32..14, negative in any::<bool>()) {
            let value = mantissa * 10f64.powi(exponent) * if negative { -1.0 } else { 1.0 };
            let shown: f64 = format_number(value).replace(',', "").parse().unwrap();
            // three significant digits: at most half a unit of the third
            prop_assert!((shown - value).abs() <= 0.0051 * value.abs());
        }
    }
}
