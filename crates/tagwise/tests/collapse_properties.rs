//! What must hold of collapse metrics whatever the features: invariances, merging, perfect and
//! degenerate geometry.

use faer::Mat;
use proptest::prelude::*;
use tagwise::collapse::{AnalysisOptions, CollapseReport, Nc1Path, TagSource};
use tagwise::matrix::{Matrix, as_faer};
use tagwise::snapshot::{FeatureValues, LinearClassifier, Snapshot};
use tagwise::statistics::{ScatterKind, Statistics};
use tagwise::{LabelSet, Targets};

/// Rounding of metrics whose condition number is moderate.
const INVARIANT: f64 = 1e-8;

fn simplex_etf(num_classes: usize, dim: usize) -> Mat<f64> {
    as_faer(&tagwise::etf::simplex_etf(num_classes, dim).unwrap()).to_owned()
}

/// What any order of merging may change, relative.
const MERGED: f64 = 1e-12;

const K: usize = 4;
const D: usize = 5;

#[derive(Clone, Debug)]
struct Data {
    features: Vec<f64>, // [N, D]
    sets: Vec<LabelSet>,
}

impl Data {
    fn targets(&self) -> Targets {
        Targets::new(K, self.sets.clone()).unwrap()
    }

    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::new(K, D);
        statistics.update(&self.features, &self.targets()).unwrap();
        statistics
    }

    fn report(&self) -> CollapseReport {
        CollapseReport::measure(&self.statistics(), None).unwrap()
    }

    fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let rows: Vec<usize> = rows.into_iter().collect();
        Self {
            features: rows
                .iter()
                .flat_map(|r| self.features[r * D..(r + 1) * D].to_vec())
                .collect(),
            sets: rows.iter().map(|&r| self.sets[r].clone()).collect(),
        }
    }

    fn map(&self, change: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        Self {
            features: self.features.chunks(D).flat_map(change).collect(),
            sets: self.sets.clone(),
        }
    }
}

/// Two samples of every label set of one and two labels at tag-wise means, plus noise.
fn data() -> impl Strategy<Value = Data> {
    let sets: Vec<LabelSet> = (0..K as u32)
        .map(|k| LabelSet::new([k]))
        .chain((0..K as u32).flat_map(|a| (0..a).map(move |b| LabelSet::new([a, b]))))
        .collect();
    let count = 3 * sets.len();
    let numbers = prop::collection::vec(-1.0..1.0f64, (K + count) * D);
    numbers.prop_map(move |numbers| {
        let (tags, noise) = numbers.split_at(K * D);
        let mut features = Vec::new();
        let mut all = Vec::new();
        for (index, set) in sets.iter().cycle().take(count).enumerate() {
            for j in 0..D {
                let mean: f64 = set
                    .indices()
                    .map(|k| tags[k * D + j] + f64::from(k == j))
                    .sum();
                features.push(mean + 0.3 * noise[index * D + j]);
            }
            all.push(set.clone());
        }
        Data {
            features,
            sets: all,
        }
    })
}

/// The metrics that every change of this file leaves alone.
fn invariants(report: &CollapseReport) -> Vec<f64> {
    let mut values = vec![
        report.nc1[&1].value.unwrap(),
        report.nc1[&2].value.unwrap(),
        report.nc1_pooled.value.unwrap(),
        report.nc1[&1].tag_span.unwrap(),
        report.nc1[&2].tag_span.unwrap(),
        report.nc1_pooled.tag_span.unwrap(),
        report.nc1[&1].trace_quotient.unwrap(),
        report.nc1[&2].cdnv.unwrap(),
        report.nc2.centred_means.unwrap(),
        report.effective_rank.unwrap(),
    ];
    let frame = report.frames.centred_means.unwrap();
    values.extend([
        frame.norm_variation,
        frame.cosine_deviation,
        frame.riesz_energy.unwrap(),
    ]);
    values
}

/// The metrics on raw means, which a translation changes.
fn about_the_origin(report: &CollapseReport) -> Vec<f64> {
    let nc_m = &report.nc_m[&2];
    vec![
        report.nc2.raw_means.unwrap(),
        nc_m.uniform.angle_degrees,
        nc_m.uniform.all_pairs_degrees,
        nc_m.weighted.angle_degrees,
    ]
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a - b).abs() <= tolerance * b.abs().max(1.0);
        prop_assert!(close, "metric {index}: {a} against {b}");
    }
    Ok(())
}

/// A product of plane rotations.
fn rotate(row: &[f64], angles: &[f64]) -> Vec<f64> {
    let mut row = row.to_vec();
    for (j, angle) in angles.iter().enumerate() {
        let (a, b) = (row[j], row[j + 1]);
        (row[j], row[j + 1]) = (
            angle.cos() * a - angle.sin() * b,
            angle.sin() * a + angle.cos() * b,
        );
    }
    row
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rotation_and_scaling_change_nothing(data in data(), angles in prop::collection::vec(-3.0..3.0f64, D - 1), scale in 0.01..100.0f64) {
        let before = data.report();
        let after = data.map(|row| rotate(row, &angles).iter().map(|v| scale * v).collect()).report();
        assert_close(&invariants(&after), &invariants(&before), INVARIANT)?;
        assert_close(&about_the_origin(&after), &about_the_origin(&before), INVARIANT)?;
    }

    #[test]
    fn translation_changes_only_what_is_measured_from_the_origin(data in data(), shift in prop::collection::vec(-9.0..9.0f64, D)) {
        let after = data.map(|row| row.iter().zip(&shift).map(|(v, s)| v + s).collect()).report();
        assert_close(&invariants(&after), &invariants(&data.report()), INVARIANT)?;
    }

    #[test]
    fn the_order_of_samples_and_duplication_change_nothing(data in data(), seed in 0usize..1000) {
        let count = data.sets.len();
        // 31 is coprime to the number of samples, 30.
        let shuffled = data.select((0..count).map(|i| (i * 31 + seed) % count).chain(0..count));
        let (before, after) = (data.report(), shuffled.report());
        assert_close(&invariants(&after), &invariants(&before), INVARIANT)?;
        assert_close(&about_the_origin(&after), &about_the_origin(&before), INVARIANT)?;
    }

    #[test]
    fn new_names_for_the_classes_change_nothing(data in data(), turn in 1u32..K as u32) {
        let mut renamed = data.clone();
        for set in &mut renamed.sets {
            *set = set.labels().iter().map(|label| (label + turn) % K as u32).collect();
        }
        assert_close(&invariants(&renamed.report()), &invariants(&data.report()), INVARIANT)?;
        assert_close(&about_the_origin(&renamed.report()), &about_the_origin(&data.report()), INVARIANT)?;
    }

    #[test]
    fn any_split_and_any_order_of_merging_agree(data in data(), cut in 1usize..29, spread in prop::sample::select(vec![1.0, 1e-3, 1e-6])) {
        // Collapsed: the sample noise shrinks beside the means.
        let means = data.statistics();
        let collapsed = {
            let mut collapsed = data.clone();
            for (row, set) in data.sets.iter().enumerate() {
                let mean = means.set_mean(set).unwrap();
                for j in 0..D {
                    collapsed.features[row * D + j] = mean[j] + spread * (data.features[row * D + j] - mean[j]);
                }
            }
            collapsed
        };
        let count = data.sets.len();
        let whole = collapsed.statistics();
        let parts = [0..cut, cut..(cut + 7).min(count), (cut + 7).min(count)..count].map(|rows| collapsed.select(rows).statistics());
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut merged = Statistics::new(K, D);
            for part in order {
                merged.merge(&parts[part]).unwrap();
            }
            prop_assert_eq!(merged.set_counts(), whole.set_counts());
            for multiplicity in [1, 2] {
                let (a, b) = (merged.within_scatter(multiplicity).unwrap(), whole.within_scatter(multiplicity).unwrap());
                prop_assert!((&a - &b).norm_l2() <= MERGED * b.norm_l2());
            }
            let (a, b) = (merged.set_means(), whole.set_means());
            prop_assert!((&a - &b).norm_l2() <= MERGED * b.norm_l2());
            for (a, b) in merged.set_square_sums().iter().zip(whole.set_square_sums()) {
                prop_assert!((a - b).abs() <= MERGED * b);
            }
        }
    }

    #[test]
    fn both_paths_to_nc1_agree(data in data()) {
        let snapshot = Snapshot::new(FeatureValues::F64(data.features.clone()), D, data.targets(), None).unwrap();
        let analyzed = CollapseReport::analyze(&snapshot, None, AnalysisOptions::default()).unwrap();
        assert_close(&invariants(&analyzed), &invariants(&data.report()), INVARIANT)?;
    }
}

/// Exact multi-label collapse: `copies` samples per label set of up to three labels at
/// C_m·Σ_{k∈S} e_k.
fn collapsed(tags: &Mat<f64>, copies: usize) -> (Vec<f64>, Targets) {
    let scales = [1.0, 0.8, 0.7];
    let classes = tags.nrows() as u32;
    let mut features = Vec::new();
    let mut sets = Vec::new();
    for bits in 1u32..1 << classes {
        let set: LabelSet = (0..classes).filter(|k| bits >> k & 1 == 1).collect();
        if set.multiplicity() <= 2 {
            for _ in 0..copies {
                features.extend((0..tags.ncols()).map(|j| {
                    let sum: f64 = set.indices().map(|k| tags[(k, j)]).sum();
                    scales[set.multiplicity() - 1] * sum
                }));
                sets.push(set.clone());
            }
        }
    }
    (features, Targets::new(classes as usize, sets).unwrap())
}

fn report_of(tags: &Mat<f64>, classifier: Option<&LinearClassifier>) -> CollapseReport {
    let (features, targets) = collapsed(tags, 2);
    let mut statistics = Statistics::new(tags.nrows(), tags.ncols());
    statistics.update(&features, &targets).unwrap();
    CollapseReport::measure(&statistics, classifier).unwrap()
}

#[test]
fn a_simplex_etf_with_tag_wise_averages_is_fully_collapsed() {
    let etf = simplex_etf(10, 12);
    let classifier = LinearClassifier {
        weight: Matrix::from_fn(10, 12, |k, j| 3.0 * etf[(k, j)]),
        bias: vec![0.5; 10],
    };
    let report = report_of(&etf, Some(&classifier));
    assert!(report.nc1[&1].value.unwrap() < 1e-20);
    assert!(report.nc1_pooled.value.unwrap() < 1e-20);
    assert!(report.nc2.classifier.unwrap() < 1e-12);
    assert!(report.nc2.centred_means.unwrap() < 1e-12);
    assert!(report.nc3.unwrap() < 1e-12);
    assert!(report.duality.unwrap().distance < 1e-12);
    assert!((report.effective_rank.unwrap() - 9.0).abs() < 1e-9);
    let nc_2 = &report.nc_m[&2];
    assert!(nc_2.uniform.angle_degrees < 1e-6);
    assert!((nc_2.uniform.all_pairs_degrees - 89.18).abs() < 0.005);
    assert!(
        (report_of(&simplex_etf(9, 9), None).nc_m[&2]
            .uniform
            .all_pairs_degrees
            - 89.05)
            .abs()
            < 0.005
    );
}

#[test]
fn nc1_of_pairs_vanishes_with_the_spread_only_within_the_tag_span() {
    let (means, targets) = collapsed(&simplex_etf(6, 9), 20);
    let mut state = 7u64;
    let noise: Vec<f64> = means
        .iter()
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        })
        .collect();
    let measure = |spread: f64| {
        let features: Vec<f64> = means
            .iter()
            .zip(&noise)
            .map(|(mean, noise)| mean + spread * noise)
            .collect();
        let mut statistics = Statistics::new(6, 9);
        statistics.update(&features, &targets).unwrap();
        CollapseReport::measure(&statistics, None).unwrap()
    };
    let (wide, narrow) = (measure(1e-2), measure(1e-4));
    let (inside, value) = (wide.nc1[&1].tag_span.unwrap(), wide.nc1[&1].value.unwrap());
    assert!((inside / value - 1.0).abs() < INVARIANT);
    for (wide, narrow) in [
        (&wide.nc1[&2], &narrow.nc1[&2]),
        (&wide.nc1_pooled, &narrow.nc1_pooled),
    ] {
        let fall = wide.tag_span.unwrap() / narrow.tag_span.unwrap();
        assert!((fall / 1e4 - 1.0).abs() < 0.1, "{fall}");
        assert!(narrow.tag_span.unwrap() < 1e-7);
        // Sampling noise over sampling noise: of the order of the 20 samples per label set.
        assert!((3.0..200.0).contains(&narrow.value.unwrap()), "{narrow:?}");
    }
}

#[test]
fn the_orthogonal_geometry_of_relu_features_is_recognised() {
    let report = report_of(&Mat::identity(10, 12), None);
    assert!((report.nc2.raw_means.unwrap() - 0.3204).abs() < 5e-5);
    assert!(report.nc2.centred_means.unwrap() < 1e-12);
    assert!(report.nc_m[&2].uniform.angle_degrees < 1e-6);
    assert!((report.nc_m[&2].uniform.all_pairs_degrees - 77.33).abs() < 0.005);
    let nine = report_of(&Mat::identity(9, 9), None);
    assert!((nine.nc_m[&2].uniform.all_pairs_degrees - 75.83).abs() < 0.005);
}

#[test]
fn a_spread_of_a_millionth_of_the_mean_keeps_its_digits() {
    // ±σ around means of size 1: Σ_W = σ² on one axis, Σ_B = I/4-like, known exactly.
    let sigma = 1e-6;
    let mut features = Vec::new();
    let mut sets = Vec::new();
    for (class, mean) in [[1.0, 1.0], [1.0, -1.0]].iter().enumerate() {
        for round in 0..1000 {
            let sign = if round % 2 == 0 { sigma } else { -sigma };
            features.extend([mean[0], mean[1] + sign]);
            sets.push(LabelSet::new([class as u32]));
        }
    }
    let targets = Targets::new(2, sets).unwrap();
    let mut statistics = Statistics::new(2, 2);
    statistics.update(&features, &targets).unwrap();
    let report = CollapseReport::measure(&statistics, None).unwrap();
    // Σ_B = diag(0, 1), Σ_W = diag(0, σ²): NC1 = σ²/2 up to the rounding of 1 ± σ itself.
    let relative = report.nc1[&1].value.unwrap() / (sigma * sigma / 2.0) - 1.0;
    assert!(relative.abs() < 1e-9, "{relative}");
}

#[test]
fn results_have_the_same_bits_on_one_thread_and_on_many() {
    let (features, targets) = collapsed(&simplex_etf(6, 300), 40);
    let noisy: Vec<f32> = (0..features.len())
        .map(|i| features[i] as f32 + ((i * 2654435761) % 1000) as f32 * 1e-4)
        .collect();
    let snapshot = Snapshot::new(FeatureValues::F32(noisy), 300, targets, None).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let scatter = Statistics::of(&snapshot, ScatterKind::Full)
                .unwrap()
                .within_scatter(2)
                .unwrap();
            let report = CollapseReport::analyze(&snapshot, None, AnalysisOptions::default());
            (scatter, serde_json::to_string(&report.unwrap()).unwrap())
        })
    };
    let (one, many) = (run(1), run(5));
    assert_eq!(one.0, many.0);
    assert_eq!(one.1, many.1);
}

#[test]
fn many_label_sets_take_a_faster_path_to_the_same_nc1() {
    // More sets than dimensions, and fewer; single labels fix neither way of computing Σ_B†.
    for dim in [280, 600] {
        let mut state = 1u64;
        let mut noise = move || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        let sets: Vec<LabelSet> = (0..26u32)
            .flat_map(|a| (0..a).map(move |b| LabelSet::new([a, b])))
            .collect();
        let means: Vec<Vec<f64>> = sets
            .iter()
            .map(|_| (0..dim).map(|_| noise()).collect())
            .collect();
        let (mut features, mut rows) = (Vec::new(), Vec::new());
        for row in 0..2 * sets.len() + 40 {
            let set = row % sets.len();
            features.extend(means[set].iter().map(|mean| mean + 0.1 * noise()));
            rows.push(sets[set].clone());
        }
        let snapshot = Snapshot::new(
            FeatureValues::F64(features),
            dim,
            Targets::new(26, rows).unwrap(),
            None,
        )
        .unwrap();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                CollapseReport::measure(
                    &Statistics::of(&snapshot, ScatterKind::Full).unwrap(),
                    None,
                )
                .unwrap()
            })
        };
        let report = run(1);
        assert_eq!(report, run(4));
        let statistics = Statistics::of(&snapshot, ScatterKind::Full).unwrap();
        let set_means = statistics.set_means();
        let counts = statistics.set_counts();
        let total: f64 = statistics.num_samples() as f64;
        let centred = Mat::from_fn(set_means.nrows(), dim, |s, j| {
            let centre: f64 = (0..set_means.nrows())
                .map(|t| counts[t] as f64 / total * set_means[(t, j)])
                .sum();
            (set_means[(s, j)] - centre) / (set_means.nrows() as f64).sqrt()
        });
        let svd = centred.thin_svd().unwrap();
        let rank = (set_means.nrows() - 1).min(dim);
        let inverse = Mat::from_fn(dim, rank, |i, j| {
            svd.V()[(i, j)] / svd.S().column_vector()[j]
        });
        let within = statistics.within_scatter(2).unwrap();
        let product = inverse.transpose() * within * &inverse;
        let trace: f64 = (0..rank).map(|j| product[(j, j)]).sum();
        let expected = trace / (total * set_means.nrows() as f64);
        assert_eq!(report.nc1[&2].rank, rank);
        let found = report.nc1[&2].value.unwrap();
        assert!(
            (found - expected).abs() < INVARIANT * expected,
            "{found} against {expected}"
        );
    }
}

#[test]
fn classes_that_never_stand_alone_are_recovered_exactly_under_exact_collapse() {
    let etf = simplex_etf(5, 6);
    let (features, targets) = collapsed(&etf, 2);
    let keep: Vec<usize> = (0..targets.len())
        .filter(|&i| *targets.set(i) != LabelSet::new([3]))
        .collect();
    let kept: Vec<f64> = keep
        .iter()
        .flat_map(|i| features[i * 6..(i + 1) * 6].to_vec())
        .collect();
    let targets = Targets::new(5, keep.iter().map(|&i| targets.set(i).clone())).unwrap();
    let mut statistics = Statistics::new(5, 6);
    statistics.update(&kept, &targets).unwrap();
    assert!(statistics.class_means().is_err());
    let report = CollapseReport::measure(&statistics, None).unwrap();
    assert_eq!(report.tag_sources[3], TagSource::Estimated);
    assert!(report.nc_m[&2].uniform.angle_degrees < 1e-5);
    assert!(report.nc2.centred_means.unwrap() < 1e-6);
    insta::assert_snapshot!(report.notes.join("\n"), @"classes without a single-label sample: 3; their vectors are estimated by least squares from the means of the label sets that contain them");
}

#[test]
fn degenerate_data_give_an_answer_or_a_reason() {
    let measure = |classes: usize, sets: &[&[u32]], features: &[f64], dim: usize| {
        let sets = sets
            .iter()
            .map(|labels| LabelSet::new(labels.iter().copied()));
        let mut statistics = Statistics::new(classes, dim);
        statistics
            .update(features, &Targets::new(classes, sets).unwrap())
            .unwrap();
        CollapseReport::measure(&statistics, None)
    };
    insta::assert_snapshot!(measure(2, &[], &[], 3).unwrap_err(), @"collapse is measured on labelled samples, and there is none");
    insta::assert_snapshot!(measure(2, &[&[], &[]], &[1.0, 2.0], 1).unwrap_err(), @"collapse is measured on labelled samples, and there is none");
    let one_sample = measure(3, &[&[1]], &[1.0, 2.0], 2).unwrap();
    assert_eq!(one_sample.nc1[&1].value, None);
    insta::assert_snapshot!(one_sample.notes.join("\n"), @r#"
classes that occur in no sample: 0, 2; NC2 of the means and NC3 leave them out
1 of 1 label set occurs once and shows no spread
NC1 of multiplicity 1 needs at least two different label-set means, found 1 label set
NC2 of the centred class means is left out: expected the number of classes of at least 2 to compare with a simplex ETF, found 1
NC2 of the class means is left out: expected the number of classes of at least 2 to compare with a simplex ETF, found 1
"#);
    let one_class = measure(1, &[&[0], &[0]], &[1.0, 2.0], 1).unwrap();
    assert_eq!(one_class.nc1[&1].value, None);
    let equal_means = measure(2, &[&[0], &[1]], &[0.1, 0.3, 0.1, 0.3], 2).unwrap();
    assert_eq!(equal_means.nc1[&1].value, None);
    assert_eq!(equal_means.nc2.centred_means, None);
    let zero_features = measure(2, &[&[0], &[1], &[0, 1]], &[0.0; 3], 1).unwrap();
    assert!(zero_features.nc_m.is_empty());
    let all_labels = measure(2, &[&[0], &[1], &[0, 1]], &[1.0, -1.0, 0.0], 1).unwrap();
    assert!(all_labels.nc_m.is_empty());
    for report in [
        one_sample,
        one_class,
        equal_means,
        zero_features,
        all_labels,
    ] {
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains("NaN") && !report.notes.is_empty());
        let back: CollapseReport = serde_json::from_str(&json).unwrap();
        assert_eq!(back, report);
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused_with_their_place() {
    let targets = Targets::new(2, [[0], [1]].map(LabelSet::new)).unwrap();
    let mut statistics = Statistics::new(2, 2);
    let error = statistics
        .update(&[1.0, 2.0, f64::NAN, 0.0], &targets)
        .unwrap_err();
    insta::assert_snapshot!(error, @"expected finite numbers, found NaN in the features at row 1, column 0");
}

#[test]
fn statistics_of_different_make_do_not_merge() {
    let mut full = Statistics::new(2, 3);
    assert!(full.merge(&Statistics::new(3, 3)).is_err());
    assert!(full.merge(&Statistics::new(2, 4)).is_err());
    assert!(
        full.merge(&Statistics::with_scatter(2, 3, ScatterKind::Trace))
            .is_err()
    );
    assert!(full.merge(&Statistics::new(2, 3)).is_ok());
}

#[test]
fn the_report_says_which_path_nc1_took() {
    let (features, targets) = collapsed(&simplex_etf(3, 40), 2);
    let snapshot = Snapshot::new(FeatureValues::F64(features), 40, targets, None).unwrap();
    let options = AnalysisOptions::default();
    let report = CollapseReport::analyze(&snapshot, None, options).unwrap();
    assert_eq!(report.nc1_path, Nc1Path::Projection);
    assert_eq!(
        CollapseReport::measure(&Statistics::of(&snapshot, ScatterKind::Full).unwrap(), None)
            .unwrap()
            .nc1_path,
        Nc1Path::Scatter
    );
}
