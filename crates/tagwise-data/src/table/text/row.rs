use std::ops::Range;

use tagwise_base::LabelSet;

use super::shortened;

/// Reads row after row into the same buffer.
#[derive(Default)]
pub(super) struct RowReader {
    /// Numbers, as the file has them, and values, in rising order.
    pub(super) features: Vec<(u32, f64)>,
}

impl RowReader {
    /// The label set of a line; its features are left in `self.features`.
    pub(super) fn read(
        &mut self,
        line: &str,
        allowed: Range<usize>,
        num_classes: usize,
    ) -> Result<LabelSet, String> {
        self.features.clear();
        let (labels, features) = match line.split_once(char::is_whitespace) {
            Some((first, rest)) if !first.contains(':') => (first, rest),
            None if !line.contains(':') => (line, ""),
            _ => ("", line),
        };
        for word in features.split_ascii_whitespace() {
            let (number, value) = word
                .split_once(':')
                .ok_or_else(|| format!("expected feature:value, found {:?}", shortened(word)))?;
            if number == "qid" {
                continue;
            }
            self.features
                .push((feature(number, &allowed)?, finite(value)?));
        }
        self.features.sort_by_key(|&(number, _)| number);
        if let Some(pair) = self.features.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!(
                "expected each feature once, found {} twice",
                pair[0].0
            ));
        }
        read_labels(labels, num_classes)
    }
}

fn feature(number: &str, allowed: &Range<usize>) -> Result<u32, String> {
    let parsed = number.parse::<u32>().ok();
    let parsed = parsed.filter(|&number| allowed.contains(&(number as usize)));
    parsed.ok_or_else(|| {
        format!(
            "expected a feature from {} to {}, found {:?}",
            allowed.start,
            allowed.end.saturating_sub(1),
            shortened(number)
        )
    })
}

fn finite(value: &str) -> Result<f64, String> {
    let parsed = value.parse().ok().filter(|value: &f64| value.is_finite());
    parsed.ok_or_else(|| format!("expected a finite number, found {:?}", shortened(value)))
}

fn read_labels(labels: &str, num_classes: usize) -> Result<LabelSet, String> {
    if labels.is_empty() {
        return Ok(LabelSet::default());
    }
    let parse = |label: &str| {
        // scikit-learn writes labels that it holds as floats as "2" or "2.0".
        let whole = label.strip_suffix(".0").unwrap_or(label);
        whole
            .parse::<u32>()
            .ok()
            .filter(|&label| (label as usize) < num_classes)
            .ok_or_else(|| {
                format!(
                    "expected labels from 0 to {} between commas, found {:?}",
                    num_classes.saturating_sub(1),
                    shortened(label)
                )
            })
    };
    let labels = labels
        .split(',')
        .map(parse)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(LabelSet::new(labels))
}
