//! Axis ranges and tick placement.

use serde::{Deserialize, Serialize};

use crate::number::{format_count, superscript, true_minus};

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal distances for equal differences.
    #[default]
    Linear,
    /// Equal distances for equal ratios; zeros, negative values and rounding errors of zero (below
    /// 10⁻¹³ of the largest) have no place and are marked at the lower edge.
    Log,
}

/// Whether a linear range ends at its data or at the next tick.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Data,
    Ticks,
}

/// A labelled position on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub value: f64,
    pub label: String,
}

/// The part of an axis that is shown, with its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    scale: Scale,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<Tick>,
}

/// Magnitudes beyond these are drawn at the limit, so that no difference or power overflows.
const LARGEST: f64 = 1e300;
const LOG_LIMITS: (f64, f64) = (1e-280, 1e280);
/// A spread below this part of the values cannot be told from rounding.
const MIN_RELATIVE_SPAN: f64 = 1e-9;
/// A positive linear range starts at zero when its low end is below this part of its high end.
const START_AT_ZERO: f64 = 0.5;
/// Values below this part of the largest are rounding errors of zero on a logarithmic axis.
const LOG_FLOOR: f64 = 1e-13;
/// Part of a logarithmic range left free at both ends.
const LOG_PADDING: f64 = 0.04;

impl Range {
    /// The range that shows these values with at most `max_ticks` ticks.
    pub fn new(
        scale: Scale,
        fit: Fit,
        values: impl Iterator<Item = f64>,
        max_ticks: usize,
    ) -> Self {
        match scale {
            Scale::Linear => Self::linear(fit, values, max_ticks),
            Scale::Log => Self::log(values, max_ticks),
        }
    }

    fn linear(fit: Fit, values: impl Iterator<Item = f64>, max_ticks: usize) -> Self {
        let mut whole = true;
        let bounds = bounds(
            values
                .filter(|value| value.is_finite())
                .inspect(|value| whole &= value.fract() == 0.0)
                .map(|value| value.clamp(-LARGEST, LARGEST)),
        );
        let (mut low, mut high) = bounds.unwrap_or((0.0, 1.0));
        if high - low <= MIN_RELATIVE_SPAN * low.abs().max(high.abs()) {
            let margin = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            let margin = if whole { margin.max(1.0) } else { margin };
            (low, high) = (low - margin, high + margin);
            if bounds.is_some_and(|(value, _)| value >= 0.0) {
                low = low.max(0.0);
            }
        }
        if fit == Fit::Ticks && low > 0.0 && low < START_AT_ZERO * high {
            low = 0.0;
        }
        let mut step = nice_step((high - low) / max_ticks.max(2) as f64);
        if whole && fit == Fit::Data {
            step = step.max(1.0);
        }
        if fit == Fit::Ticks {
            low = (low / step).floor() * step;
            high = (high / step).ceil() * step;
        }
        Self {
            scale: Scale::Linear,
            low,
            high,
            ticks: linear_ticks(low, high, step),
        }
    }

    fn log(values: impl Iterator<Item = f64>, max_ticks: usize) -> Self {
        let values: Vec<f64> = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(|value| value.clamp(LOG_LIMITS.0, LOG_LIMITS.1))
            .collect();
        let largest = values.iter().copied().fold(0.0, f64::max);
        // Rounding errors of zero must not flatten what is above them.
        let above = values
            .into_iter()
            .filter(|value| *value >= largest * LOG_FLOOR);
        let (low, high) = bounds(above).unwrap_or((0.1, 1.0));
        let (mut low, mut high) = (low.log10(), high.log10());
        if high - low < 0.01 {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let padding = LOG_PADDING * (high - low);
        (low, high) = (low - padding, high + padding);
        Self {
            scale: Scale::Log,
            low: 10f64.powf(low),
            high: 10f64.powf(high),
            ticks: log_ticks(low, high, max_ticks),
        }
    }

    /// Where the value lies between the low end (0) and the high end (1); `None` where the scale
    /// has no place for it.
    pub fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        match self.scale {
            Scale::Linear => Some((value - self.low) / (self.high - self.low)),
            Scale::Log if value >= self.low => {
                let (low, high) = (self.low.log10(), self.high.log10());
                Some((value.log10() - low) / (high - low))
            }
            Scale::Log => None,
        }
        .map(|place| place.clamp(0.0, 1.0))
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// The smallest of 1, 2, 5 times a power of ten that is not below the value.
pub(crate) fn nice_step(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let mantissa = value / power;
    // a hair of slack so that 0.30000000000000004 / 3 still counts as 0.1
    let nice = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|nice| mantissa <= nice * (1.0 + 1e-9));
    nice.unwrap_or(10.0) * power
}

fn linear_ticks(low: f64, high: f64, step: f64) -> Vec<Tick> {
    let slack = 1e-9;
    let first = (low / step - slack).ceil() as i64;
    let last = (high / step + slack).floor() as i64;
    let largest = low.abs().max(high.abs());
    (first..=last)
        .map(|index| index as f64 * step)
        .map(|value| Tick {
            value,
            label: linear_label(value, step, largest),
        })
        .collect()
}

fn linear_label(value: f64, step: f64, largest: f64) -> String {
    let step_exponent = (step.log10() + 1e-9).floor() as i32;
    if value == 0.0 {
        return "0".into();
    }
    if largest >= 1e6 || step_exponent < -4 {
        // one exponent for the whole axis
        let exponent = largest.log10().floor() as i32;
        let decimals = (exponent - step_exponent).max(0) as usize;
        let mantissa = value / 10f64.powi(exponent);
        let power = superscript(&exponent.to_string());
        return true_minus(&format!("{mantissa:.decimals$}×10")) + &power;
    }
    if step_exponent >= 0 && value.abs() >= 10_000.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{}", format_count(value.abs().round() as u64));
    }
    true_minus(&format!("{value:.*}", (-step_exponent).max(0) as usize))
}

/// Ticks between 10^low and 10^high: powers of ten, thinned out when there are many, with 2 and 5
/// or 3 multiples when there are few.
fn log_ticks(low: f64, high: f64, max_ticks: usize) -> Vec<Tick> {
    let max_ticks = max_ticks.max(2);
    let (first, last) = (low.ceil() as i32, high.floor() as i32);
    let decades = (last - first + 1).max(0) as usize;
    let multiples = |mantissas: &[f64]| -> Vec<(f64, i32)> {
        (low.floor() as i32..=last)
            .flat_map(|exponent| mantissas.iter().map(move |&mantissa| (mantissa, exponent)))
            .filter(|&(mantissa, exponent)| {
                let place = mantissa.log10() + f64::from(exponent);
                (low..=high).contains(&place)
            })
            .collect()
    };
    let ticks = if decades >= 3 {
        let stride = round_stride(decades.div_ceil(max_ticks) as i32);
        (first..=last)
            .filter(|exponent| exponent.rem_euclid(stride) == 0)
            .map(|exponent| (1.0, exponent))
            .collect()
    } else {
        [&[1.0, 2.0, 5.0][..], &[1.0, 3.0]]
            .into_iter()
            .map(multiples)
            .find(|ticks| ticks.len() <= max_ticks)
            .unwrap_or_else(|| multiples(&[1.0]))
    };
    if ticks.len() < 2 {
        let (low, high) = (10f64.powf(low), 10f64.powf(high));
        let step = nice_step((high - low) / max_ticks as f64);
        return linear_ticks(low, high, step);
    }
    label_powers(&ticks)
}

/// Plain decimals when all ticks lie between 0.001 and 5,000, powers of ten otherwise.
fn label_powers(ticks: &[(f64, i32)]) -> Vec<Tick> {
    let plain = ticks
        .iter()
        .all(|(_, exponent)| (-3..=3).contains(exponent));
    ticks
        .iter()
        .map(|&(mantissa, exponent)| {
            let value = mantissa * 10f64.powi(exponent);
            let label = if plain {
                format!("{value:.*}", (-exponent).max(0) as usize)
            } else {
                log_label(mantissa, exponent)
            };
            Tick { value, label }
        })
        .collect()
}

/// The smallest of 1, 2, 3, 5 times a power of ten that is not below the stride.
fn round_stride(stride: i32) -> i32 {
    let mut power = 1;
    loop {
        match [1, 2, 3, 5].into_iter().find(|nice| nice * power >= stride) {
            Some(nice) => return nice * power,
            None => power *= 10,
        }
    }
}

fn log_label(mantissa: f64, exponent: i32) -> String {
    let power = superscript(&exponent.to_string());
    match (mantissa == 1.0, exponent) {
        (true, 0) => "1".into(),
        (true, 1) => "10".into(),
        (true, _) => format!("10{power}"),
        (false, _) => format!("{mantissa}×10{power}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_errors_of_zero_do_not_flatten_the_rest() {
        let range = Range::log([0.5, 0.05, 2.45e-16].into_iter(), 6);
        assert!(range.low > 0.03, "{}", range.low);
        assert_eq!(range.place(2.45e-16), None);
        let small = Range::log([1e-15, 2e-16].into_iter(), 6);
        assert!(small.place(2e-16).is_some());
    }

    const MAX_TICKS: usize = 6;

    fn labels(scale: Scale, fit: Fit, values: &[f64]) -> String {
        let range = Range::new(scale, fit, values.iter().copied(), MAX_TICKS);
        let labels: Vec<&str> = range.ticks.iter().map(|tick| tick.label.as_str()).collect();
        labels.join(" ")
    }

    #[test]
    fn linear_ticks_are_round_numbers() {
        let rows = [
            labels(Scale::Linear, Fit::Ticks, &[0.12, 0.97]),
            labels(Scale::Linear, Fit::Ticks, &[-0.11, 1.0]),
            labels(Scale::Linear, Fit::Data, &[1.0, 200.0]),
            labels(Scale::Linear, Fit::Data, &[0.0, 3.0]),
            labels(Scale::Linear, Fit::Ticks, &[0.0, 40_000.0]),
            labels(Scale::Linear, Fit::Ticks, &[2.3e7, 1.1e7]),
            labels(Scale::Linear, Fit::Ticks, &[1e-7, 3e-7]),
            labels(Scale::Linear, Fit::Ticks, &[0.9871, 0.9942]),
        ];
        insta::assert_snapshot!(rows.join("\n"), @r"
        0 0.2 0.4 0.6 0.8 1.0
        −0.2 0 0.2 0.4 0.6 0.8 1.0
        50 100 150 200
        0 1 2 3
        0 10,000 20,000 30,000 40,000
        0 0.5×10⁷ 1.0×10⁷ 1.5×10⁷ 2.0×10⁷ 2.5×10⁷
        0 0.5×10⁻⁷ 1.0×10⁻⁷ 1.5×10⁻⁷ 2.0×10⁻⁷ 2.5×10⁻⁷ 3.0×10⁻⁷
        0.986 0.988 0.990 0.992 0.994 0.996
        ");
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        let rows = [
            labels(Scale::Log, Fit::Ticks, &[0.0031, 2.4]),
            labels(Scale::Log, Fit::Ticks, &[1e-9, 40.0]),
            labels(Scale::Log, Fit::Ticks, &[0.3, 1.4]),
            labels(Scale::Log, Fit::Ticks, &[0.02, 2.6]),
            labels(Scale::Log, Fit::Ticks, &[0.031, 0.033]),
            labels(Scale::Log, Fit::Ticks, &[1e-300, 1e300]),
            labels(Scale::Log, Fit::Ticks, &[2e-6, 3e-5]),
        ];
        insta::assert_snapshot!(rows.join("\n"), @r"
        0.01 0.1 1
        10⁻⁸ 10⁻⁶ 10⁻⁴ 10⁻² 1 10²
        0.5 1
        0.03 0.1 0.3 1 3
        0.0310 0.0315 0.0320 0.0325 0.0330
        5×10²⁷⁹ 10²⁸⁰ 2×10²⁸⁰
        2×10⁻⁶ 5×10⁻⁶ 10⁻⁵ 2×10⁻⁵
        ");
    }

    #[test]
    fn degenerate_data_still_have_an_axis() {
        let rows = [
            labels(Scale::Linear, Fit::Ticks, &[]),
            labels(Scale::Linear, Fit::Ticks, &[0.0]),
            labels(Scale::Linear, Fit::Ticks, &[0.75, 0.75]),
            labels(Scale::Linear, Fit::Data, &[1.0]),
            labels(Scale::Linear, Fit::Ticks, &[f64::NAN, f64::INFINITY]),
            labels(Scale::Log, Fit::Ticks, &[]),
            labels(Scale::Log, Fit::Ticks, &[0.0, -1.0, f64::NAN]),
            labels(Scale::Log, Fit::Ticks, &[0.02]),
        ];
        insta::assert_snapshot!(rows.join("\n"), @r"
        0 0.2 0.4 0.6 0.8 1.0
        0 0.2 0.4 0.6 0.8 1.0
        0.65 0.70 0.75 0.80 0.85
        0 1 2
        0 0.2 0.4 0.6 0.8 1.0
        0.1 0.2 0.5 1
        0.1 0.2 0.5 1
        0.01 0.02 0.05
        ");
    }

    #[test]
    fn zero_has_no_place_on_a_logarithmic_axis() {
        let range = Range::new(
            Scale::Log,
            Fit::Ticks,
            [0.0, 0.1, 1.0].into_iter(),
            MAX_TICKS,
        );
        assert_eq!(range.place(0.0), None);
        assert_eq!(range.place(f64::NAN), None);
        assert!(range.place(0.1).unwrap() < range.place(1.0).unwrap());
    }

    fn any_values() -> impl Strategy<Value = Vec<f64>> {
        let signed = (-1.0f64..1.0, -12i32..12).prop_map(|(m, e)| m * 10f64.powi(e));
        prop::collection::vec(prop_oneof![8 => signed, 1 => any::<f64>()], 0..20)
    }

    proptest! {
        #[test]
        fn every_value_lies_in_the_range_and_ticks_are_few_distinct_and_inside(
            values in any_values(),
            log in any::<bool>(),
            fit_data in any::<bool>(),
            max_ticks in 2usize..9,
        ) {
            let scale = if log { Scale::Log } else { Scale::Linear };
            let fit = if fit_data { Fit::Data } else { Fit::Ticks };
            let range = Range::new(scale, fit, values.iter().copied(), max_ticks);
            prop_assert!(range.low.is_finite() && range.high.is_finite() && range.low < range.high);
            for &value in &values {
                if let Some(place) = range.place(value) {
                    prop_assert!((0.0..=1.0).contains(&place));
                    let slack = 1e-9 * range.high.abs().max(range.low.abs());
                    let drawn = match scale {
                        Scale::Linear => value.abs() < LARGEST,
                        Scale::Log => value < LOG_LIMITS.1,
                    };
                    if drawn {
                        prop_assert!(value >= range.low - slack && value <= range.high + slack);
                    }
                }
            }
            prop_assert!(range.ticks.len() <= max_ticks.max(5) + 2, "{:?}", range.ticks);
            let span = range.high - range.low;
            for tick in &range.ticks {
                prop_assert!(tick.value >= range.low - 1e-6 * span && tick.value <= range.high + 1e-6 * span);
            }
            for pair in range.ticks.windows(2) {
                prop_assert!(pair[0].value < pair[1].value);
                prop_assert!(pair[0].label != pair[1].label, "{:?}", range.ticks);
            }
        }
    }
}
