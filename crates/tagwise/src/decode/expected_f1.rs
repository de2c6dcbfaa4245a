//! The label set of largest expected F1 when labels are independent.

/// Probability mass this small is dropped from the ends of a distribution.
const NEGLIGIBLE: f64 = 1e-13;

/// Distribution of the number of labels that are on: entry i is the probability of `first` + i.
#[derive(Clone, Debug)]
struct CountDistribution {
    first: usize,
    mass: Vec<f64>,
}

impl CountDistribution {
    fn zero() -> Self {
        Self {
            first: 0,
            mass: vec![1.0],
        }
    }

    /// With one more label that is on with this probability.
    fn with(&self, probability: f64) -> Self {
        let mut mass = vec![0.0; self.mass.len() + 1];
        for (count, &share) in self.mass.iter().enumerate() {
            mass[count] += share * (1.0 - probability);
            mass[count + 1] += share * probability;
        }
        let start = mass.iter().position(|&m| m > NEGLIGIBLE).unwrap_or(0);
        let end = mass.iter().rposition(|&m| m > NEGLIGIBLE).unwrap_or(0);
        Self {
            first: self.first + start,
            mass: mass[start..=end].to_vec(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let counts = (self.first..).map(|count| count as f64);
        counts.zip(self.mass.iter().copied())
    }
}

/// The number of labels k ≥ 1 whose choice, most probable first, has the largest expected F1.
///
/// Under independence the best set of k labels is that of the k most probable; with A the number
/// of labels that are on among them and B the number among the others, independent of each other,
/// E F1 = Σ P(A=a)·P(B=b)·2a/(k+a+b). `probabilities` is sorted, largest first.
pub(super) fn best_count(probabilities: &[f64]) -> usize {
    let mut rest = vec![CountDistribution::zero()];
    for &probability in probabilities.iter().rev() {
        rest.push(rest[rest.len() - 1].with(probability));
    }
    let mut chosen = CountDistribution::zero();
    let (mut best, mut best_count) = (f64::NEG_INFINITY, 1);
    for (position, &probability) in probabilities.iter().enumerate() {
        chosen = chosen.with(probability);
        let count = position + 1;
        // F1 = 2a/(k + T) ≤ 2T/(k + T) with T the number of labels that are on, which falls in k.
        let most = |(total, share): (f64, f64)| share * 2.0 * total / (count as f64 + total);
        if rest[probabilities.len()].iter().map(most).sum::<f64>() < best {
            break;
        }
        let others = &rest[probabilities.len() - count];
        let mut expected = 0.0;
        for (a, share) in chosen.iter() {
            let inner: f64 = others
                .iter()
                .map(|(b, other)| other / (count as f64 + a + b))
                .sum();
            expected += share * 2.0 * a * inner;
        }
        if expected > best {
            (best, best_count) = (expected, count);
        }
    }
    best_count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Expected F1 of predicting these labels, over all outcomes one by one.
    fn expected_f1(probabilities: &[f64], predicted: u32) -> f64 {
        (0u32..1 << probabilities.len())
            .map(|truth| {
                let chance: f64 = (0..probabilities.len())
                    .map(|k| match truth >> k & 1 {
                        1 => probabilities[k],
                        _ => 1.0 - probabilities[k],
                    })
                    .product();
                let total = predicted.count_ones() + truth.count_ones();
                chance * f64::from(2 * (predicted & truth).count_ones()) / f64::from(total.max(1))
            })
            .sum()
    }

    proptest! {
        #[test]
        fn the_best_count_beats_every_set(mut probabilities in prop::collection::vec(0.0..1.0f64, 1..8)) {
            probabilities.sort_unstable_by(|a, b| b.total_cmp(a));
            let own = expected_f1(&probabilities, (1 << best_count(&probabilities)) - 1);
            for set in 1u32..1 << probabilities.len() {
                prop_assert!(own >= expected_f1(&probabilities, set) - 1e-12);
            }
        }
    }
}
