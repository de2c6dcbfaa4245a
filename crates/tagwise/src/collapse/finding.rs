//! The one sentence that leads a report.

use super::verdict::{CollapseVerdict, Untold};
use super::{CollapseMetric, CollapseReport, Headline};

impl CollapseReport {
    /// What was found, in one sentence: which metrics show collapse, how sure that is, and what is
    /// in the way where nothing can be said. The metric over all multiplicities, which hides what
    /// differs, is left out.
    ///
    /// ```
    /// use tagwise::collapse::CollapseReport;
    /// use tagwise::statistics::Statistics;
    /// use tagwise::{LabelSet, Targets};
    ///
    /// let mut statistics = Statistics::new(2, 1);
    /// let targets = Targets::new(2, [[0], [0], [1], [1]].map(LabelSet::new))?;
    /// statistics.update(&[3.0, 4.0, -5.0, -3.0], &targets)?;
    /// let report = CollapseReport::measure(&statistics, None)?;
    /// assert_eq!(
    ///     report.finding(),
    ///     "No verdict on NC1 (m = 1): label sets repeat too seldom to show spread; nor on NC2 \
    ///      (means): no better than chance."
    /// );
    /// # Ok::<(), tagwise::Error>(())
    /// ```
    pub fn finding(&self) -> String {
        let mut headlines = self.headlines();
        headlines.retain(|headline| headline.metric != CollapseMetric::Nc1Pooled);
        let mut parts = Vec::new();
        for (verdict, words) in [
            (CollapseVerdict::Collapsed, "collapsed by"),
            (CollapseVerdict::Partly, "partly collapsed by"),
            (CollapseVerdict::NotCollapsed, "not collapsed by"),
        ] {
            let metrics = with(&headlines, |headline| headline.verdict == verdict);
            if !metrics.is_empty() {
                parts.push(format!("{words} {}", list(&metrics)));
            }
        }
        parts.extend(how_sure(&headlines));
        for (reason, metrics) in untold(&headlines) {
            let words = if parts.last().is_some_and(|last| last.contains("verdict on")) {
                "nor on"
            } else {
                "no verdict on"
            };
            parts.push(format!("{words} {}: {reason}", list(&metrics)));
        }
        if parts.is_empty() {
            return "Nothing could be measured.".into();
        }
        capitalized(&format!("{}.", parts.join("; ")))
    }
}

fn with(headlines: &[Headline], holds: impl Fn(&Headline) -> bool) -> Vec<CollapseMetric> {
    let found = headlines.iter().filter(|headline| holds(headline));
    found.map(|headline| headline.metric).collect()
}

/// The widest interval of a metric with a verdict.
fn how_sure(headlines: &[Headline]) -> Option<String> {
    let is_told =
        |headline: &&Headline| !matches!(headline.verdict, CollapseVerdict::CannotBeTold { .. });
    let told = headlines.iter().filter(is_told);
    let factors = told.filter_map(|headline| {
        let interval = headline.interval?;
        (interval.low > 0.0).then(|| (interval.high / interval.low).sqrt())
    });
    let widest = factors.fold(0.0, f64::max);
    (widest > 0.0).then(|| format!("each known to within a factor of {widest:.2} (95 %)"))
}

/// The metrics without a verdict, by reason, in the order of the list.
fn untold(headlines: &[Headline]) -> Vec<(&'static str, Vec<CollapseMetric>)> {
    let mut groups: Vec<(&'static str, Vec<CollapseMetric>)> = Vec::new();
    for headline in headlines {
        let CollapseVerdict::CannotBeTold { reason } = headline.verdict else {
            continue;
        };
        // What was not asked for is not missing.
        if reason == Untold::NotMeasured {
            continue;
        }
        let words = reason.in_short();
        match groups.iter_mut().find(|(other, _)| *other == words) {
            Some((_, metrics)) => metrics.push(headline.metric),
            None => groups.push((words, vec![headline.metric])),
        }
    }
    groups
}

/// "NC1 (m = 1 to 4), NC2 (means) and NC3".
fn list(metrics: &[CollapseMetric]) -> String {
    let multiplicities = |pick: fn(CollapseMetric) -> Option<usize>| {
        let found: Vec<usize> = metrics.iter().filter_map(|&metric| pick(metric)).collect();
        (!found.is_empty()).then(|| ranges(&found))
    };
    let nc1 = multiplicities(|metric| match metric {
        CollapseMetric::Nc1 { multiplicity } => Some(multiplicity),
        _ => None,
    });
    let nc_m = multiplicities(|metric| match metric {
        CollapseMetric::NcM { multiplicity } => Some(multiplicity),
        _ => None,
    });
    let has = |metric| metrics.contains(&metric);
    let nc2 = match (
        has(CollapseMetric::Nc2Classifier),
        has(CollapseMetric::Nc2ClassMeans),
    ) {
        (true, true) => Some("NC2 (W, means)"),
        (true, false) => Some("NC2 (W)"),
        (false, true) => Some("NC2 (means)"),
        (false, false) => None,
    };
    let names = [
        nc1.map(|m| format!("NC1 ({m})")),
        nc2.map(str::to_string),
        has(CollapseMetric::Nc3).then(|| "NC3".to_string()),
        nc_m.map(|m| format!("NC_m ({m})")),
    ];
    let names: Vec<String> = names.into_iter().flatten().collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// "m = 1 to 3, 5" from ascending numbers.
fn ranges(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let runs: Vec<String> = runs
        .map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] if run.len() > 2 => format!("{first} to {last}"),
            run => run
                .iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        })
        .collect();
    format!("m = {}", runs.join(", "))
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_metrics_are_short() {
        let nc1 = |multiplicity| CollapseMetric::Nc1 { multiplicity };
        let metrics = [
            nc1(1),
            nc1(2),
            nc1(3),
            nc1(5),
            CollapseMetric::Nc2Classifier,
        ];
        assert_eq!(list(&metrics), "NC1 (m = 1 to 3, 5) and NC2 (W)");
        let pair = CollapseMetric::NcM { multiplicity: 2 };
        let metrics = [CollapseMetric::Nc2ClassMeans, CollapseMetric::Nc3, pair];
        assert_eq!(list(&metrics), "NC2 (means), NC3 and NC_m (m = 2)");
        assert_eq!(ranges(&[1, 2]), "m = 1, 2");
    }
}
