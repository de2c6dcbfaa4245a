//! Writes reports of synthetic runs, for looking at the page while working on it:
//!
//! ```text
//! cargo run -p tagwise-report --example demo -- FOLDER
//! ```
//!
//! Nothing in them was measured.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise::collapse::{CollapseMetric, Evidence, Headline};
use tagwise::etf::simplex_etf;
use tagwise::{LabelSet, Targets};
use tagwise_report::plane::{choose_classes, collapse_plane};
use tagwise_report::{
    Axis, Card, Cell, Chart, Column, ContactSheet, Example, Geometry, Kind, Reference, Report,
    Series, Table, compare, render,
};

const EPOCHS: usize = 60;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    std::fs::create_dir_all(&folder)?;
    let digits = training(10, 7, "M-lab digits, learned classifier")?;
    let fixed = training(10, 8, "M-lab digits, fixed ETF, d = K")?;
    let wide = training(80, 9, "Eighty classes")?;
    std::fs::write(
        folder.join("compare.html"),
        render(&compare(&[digits.clone(), fixed])?)?,
    )?;
    std::fs::write(folder.join("digits.html"), render(&digits)?)?;
    std::fs::write(folder.join("wide.html"), render(&wide)?)?;
    std::fs::write(folder.join("ufm.html"), render(&small_ufm()?)?)?;
    Ok(())
}

/// A decay from `first` to `last` with some noise.
fn decay(rng: &mut ChaCha8Rng, first: f64, last: f64) -> Vec<(f64, f64)> {
    (1..=EPOCHS)
        .map(|epoch| {
            let progress = (epoch - 1) as f64 / (EPOCHS - 1) as f64;
            let level = first.ln() + (last / first).ln() * (1.0 - (1.0 - progress).powf(1.6));
            let noise = 0.12 * rng.random_range(-1.0..1.0) * (1.0 - 0.7 * progress);
            (epoch as f64, (level + noise).exp())
        })
        .collect()
}

fn training(num_classes: usize, seed: u64, title: &str) -> tagwise_report::Result<Report> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let class_names: Vec<String> = (0..num_classes).map(|class| class.to_string()).collect();
    let nc1 = decay(&mut rng, 2.9, 0.0027);
    let nc1_pairs = decay(&mut rng, 4.1, 0.0093);
    let nc2_w = decay(&mut rng, 0.62, 0.041);
    let nc2_means = decay(&mut rng, 0.78, 0.073);
    let nc3 = decay(&mut rng, 0.91, 0.052);
    let nc_pairs = decay(&mut rng, 0.86, 0.034);
    let train_loss = decay(&mut rng, 2.4, 0.021);
    let test_loss: Vec<(f64, f64)> = train_loss
        .iter()
        .map(|&(epoch, loss)| (epoch, loss + 0.09 + 0.01 * rng.random_range(-1.0..1.0)))
        .collect();
    let jaccard: Vec<(f64, f64)> = test_loss
        .iter()
        .map(|&(epoch, loss)| (epoch, 0.985 - 0.3 * loss.min(2.5)))
        .collect();
    let last = |points: &[(f64, f64)]| points.last().map_or(f64::NAN, |point| point.1);
    let trend = |points: &[(f64, f64)]| points.iter().map(|point| point.1).collect::<Vec<f64>>();
    let metric = |metric, course: &[(f64, f64)]| {
        let headline = Headline::new(metric, Some(last(course)), Evidence::default());
        Card::headline(&headline).with_trend(trend(course))
    };

    let epoch = || Axis::linear("epoch");
    let mut loss = Chart::new("Loss", epoch(), Axis::log("PAL loss per image"));
    loss.series = vec![
        Series::new("test", test_loss.iter().copied()),
        Series::new("train", train_loss.iter().copied()),
    ];
    let mut variability = Chart::new("Within-class variability", epoch(), Axis::log("NC1"));
    variability.caption = "0 when every feature equals the mean of its label set.".into();
    variability.series = vec![
        Series::new("1 label", nc1.iter().copied()),
        Series::new("2 labels", nc1_pairs.iter().copied()),
    ];
    let mut frame = Chart::new(
        "Distance from a simplex ETF",
        epoch(),
        Axis::log("NC2, NC3"),
    );
    frame.caption =
        "0 when all class means, or classifier rows, are equally long and equally far apart."
            .into();
    frame.series = vec![
        Series::new("NC2 of W", nc2_w.iter().copied()),
        Series::new("NC2 of means", nc2_means.iter().copied()),
        Series::new("NC3", nc3.iter().copied()),
    ];
    let mut averages = Chart::new(
        "Distance from the tag-wise averages",
        epoch(),
        Axis::linear("NC_m"),
    );
    averages.caption =
        "Angle to the own sum of class means over the angle to all sums: 1 is chance.".into();
    averages.series = vec![Series::new("m = 2", nc_pairs.iter().copied())];
    averages.references = vec![Reference {
        name: "chance".into(),
        value: 1.0,
    }];
    let mut quality = Chart::new("Test quality", epoch(), Axis::linear("Jaccard index"));
    quality.series = vec![Series::new("softmax threshold", jaccard.iter().copied())];

    let dim = num_classes + 6;
    let (features, targets, means, classifier) = collapsed_features(&mut rng, num_classes, dim);
    let mut geometry = Geometry::new(&class_names, &means, Some(&classifier))?;
    geometry.caption = "Cosines between classes on one colour scale. The bar below each map \
        spans the entries off the diagonal; the dot is their mean."
        .into();
    let classes = choose_classes(&targets).unwrap_or([0, 1, 2]);
    let mut plane = collapse_plane(&features, dim, &targets, classes, &class_names)?;
    plane.caption = "Each sample is one dot. Single-label samples gather at the ends of their \
        arms; samples with two labels gather where theory puts them, on the scaled sum of the \
        two arms (dotted), marked by a ring."
        .into();

    let mut decoders = Table::new(
        "Test set, three decoders",
        [
            Column::new("decoder"),
            Column::higher("label mass"),
            Column::higher("Jaccard"),
            Column::higher("exact match"),
            Column::higher("micro F1"),
            Column::higher("macro F1"),
            Column::lower("Hamming loss"),
        ],
    );
    for (name, shift) in [
        ("one nearest neighbour", 0.004),
        ("softmax threshold", 0.0),
        ("top m, true m", 0.011),
    ] {
        let row: [Cell; 7] = [
            name.into(),
            0.9312.into(),
            (0.9512 + shift).into(),
            (0.9105 + 2.0 * shift).into(),
            (0.9633 + shift).into(),
            (0.9607 + shift).into(),
            (0.0093 - shift / 3.0).into(),
        ];
        match name {
            "top m, true m" => decoders.push_unranked(row),
            _ => decoders.push(row),
        }
    }
    let mut sizes = Table::new(
        "Parameters",
        [
            Column::new("part"),
            Column::new("parameters"),
            Column::new("share"),
        ],
    );
    sizes.push([
        "convolutions and norms".into(),
        8_853_190u64.into(),
        0.9994.into(),
    ]);
    sizes.push(["classifier".into(), 5_130u64.into(), 0.00058.into()]);
    sizes.push(["frozen".into(), 0u64.into(), Cell::Missing]);

    Ok(Report {
        kind: Kind::Training,
        title: title.into(),
        subtitle: "Small residual network, 60 epochs, 2,400 training images, 900 test images"
            .into(),
        summary: format!(
            "The network has collapsed: NC1 fell from {} to {}, and the means of two-label images \
             lie {} of a chance angle from the sum of their single-label means. On the test set \
             one nearest neighbour decodes 95.5 % of the label mass correctly.",
            tagwise_report::format_number(nc1[0].1),
            tagwise_report::format_number(last(&nc1)),
            tagwise_report::format_number(last(&nc_pairs)),
        ),
        notes: Vec::new(),
        cards: vec![
            metric(CollapseMetric::Nc1 { multiplicity: 1 }, &nc1),
            metric(CollapseMetric::Nc2Classifier, &nc2_w),
            metric(CollapseMetric::Nc2ClassMeans, &nc2_means),
            metric(CollapseMetric::Nc3, &nc3),
            metric(CollapseMetric::NcM { multiplicity: 2 }, &nc_pairs),
            Card::higher("Jaccard, test set", last(&jaccard))
                .with_trend(trend(&jaccard))
                .with_note("One nearest neighbour over tag-wise averages."),
            Card::trainable_parameters(if seed == 8 { 138_958 } else { 175_258 })
                .with_note("20.71 % fewer than with a learned head of 512 dimensions."),
            Card {
                unit: "s".into(),
                ..Card::new("Training time", 71.3).with_note("2 cores, 1,930 images per second.")
            },
        ],
        curves: vec![loss, variability, frame, averages, quality],
        geometry: Some(geometry),
        plane: Some(plane),
        examples: Some(examples(&mut rng)?),
        tables: vec![decoders, sizes],
        configuration: [
            ("seed", "7"),
            ("data.set", "digits"),
            ("data.multiplicities", "1, 2"),
            ("data.placement", "balanced"),
            ("network.architecture", "small"),
            ("network.feature_dim", "64"),
            (
                "network.classifier",
                if seed == 8 { "fixed-etf" } else { "learned" },
            ),
            ("loss.kind", "pick-all-labels"),
            ("loss.weighting", "sum"),
            ("optimizer.learning_rate", "0.1"),
            ("optimizer.momentum", "0.9"),
            ("optimizer.weight_decay", "5e-4"),
            ("optimizer.feature_decay", "1e-4"),
            ("schedule.epochs", "60"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        class_names,
        provenance: "Synthetic demonstration of tagwise-report; nothing here was measured.".into(),
    })
}

type Rows = Vec<Vec<f64>>;

/// Noisy features around a slightly bent ETF, with the class means and the classifier.
fn collapsed_features(
    rng: &mut ChaCha8Rng,
    num_classes: usize,
    dim: usize,
) -> (Vec<f32>, Targets, Rows, Rows) {
    let etf = simplex_etf(num_classes, dim).expect("dim exceeds the number of classes");
    let mut bent = |amount: f64| -> Rows {
        (0..num_classes)
            .map(|class| {
                (0..dim)
                    .map(|at| etf[(class, at)] + amount * rng.random_range(-1.0..1.0))
                    .collect()
            })
            .collect()
    };
    let (means, classifier) = (bent(0.035), bent(0.015));
    let mut sets: Vec<LabelSet> = Vec::new();
    for a in 0..num_classes as u32 {
        sets.extend(std::iter::repeat_n(LabelSet::new([a]), 60));
        for b in a + 1..(num_classes as u32).min(a + 4) {
            sets.extend(std::iter::repeat_n(LabelSet::new([a, b]), 40));
        }
    }
    let features = sets
        .iter()
        .flat_map(|set| {
            let scale = if set.multiplicity() == 1 { 1.0 } else { 0.86 };
            let centre: Vec<f64> = (0..dim)
                .map(|at| scale * set.indices().map(|class| means[class][at]).sum::<f64>())
                .collect();
            centre
                .into_iter()
                .map(|value| (value + 0.1 * rng.random_range(-1.0..1.0)) as f32)
                .collect::<Vec<f32>>()
        })
        .collect();
    let targets = Targets::new(num_classes, sets).expect("labels are below the number of classes");
    (features, targets, means, classifier)
}

const GLYPHS: [[u8; 7]; 10] = [
    [14, 17, 19, 21, 25, 17, 14],
    [4, 12, 4, 4, 4, 4, 14],
    [14, 17, 1, 2, 4, 8, 31],
    [31, 2, 4, 2, 1, 17, 14],
    [2, 6, 10, 18, 31, 2, 2],
    [31, 16, 30, 1, 1, 17, 14],
    [6, 8, 16, 30, 17, 17, 14],
    [31, 1, 2, 4, 8, 8, 8],
    [14, 17, 17, 14, 17, 17, 14],
    [14, 17, 17, 15, 1, 2, 12],
];

/// Digits of a dot-matrix font on canvases of 16×16.
fn examples(rng: &mut ChaCha8Rng) -> tagwise_report::Result<ContactSheet> {
    let mut pixels = Vec::new();
    let mut examples = Vec::new();
    for number in 0..24 {
        let mut image = vec![0u8; 256];
        let labels: Vec<u32> = (0..1 + number % 2)
            .map(|_| rng.random_range(0..10))
            .collect();
        for (corner, &label) in labels.iter().enumerate() {
            let (top, left) = if corner == 0 { (8, 9) } else { (1, 2) };
            for (row, bits) in GLYPHS[label as usize].iter().enumerate() {
                for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                    image[(top + row) * 16 + left + column] = rng.random_range(150..=255);
                }
            }
        }
        pixels.extend(image);
        let mut decoded = labels.clone();
        if number % 9 == 4 {
            decoded[0] = (decoded[0] + 5) % 10;
        }
        examples.push(Example {
            truth: LabelSet::new(labels),
            decoded: LabelSet::new(decoded),
        });
    }
    let mut sheet = ContactSheet::new(&pixels, [16, 16, 1], examples)?;
    sheet.caption = format!(
        "The first {} test images; {} of them are decoded exactly.",
        sheet.examples.len(),
        sheet.num_right()
    );
    Ok(sheet)
}

/// Three classes, every multiplicity: the picture of the theory.
fn small_ufm() -> tagwise_report::Result<Report> {
    let etf = simplex_etf(3, 3).expect("three classes fit into three dimensions");
    let rows: Rows = (0..3)
        .map(|class| (0..3).map(|at| 1.68 * etf[(class, at)]).collect())
        .collect();
    let names = ["cat", "dog", "aardvark"].map(String::from);
    let sets = [
        vec![0u32],
        vec![1],
        vec![2],
        vec![0, 1],
        vec![0, 2],
        vec![1, 2],
    ]
    .map(LabelSet::new);
    let features: Vec<f64> = sets
        .iter()
        .flat_map(|set| {
            let scale = if set.multiplicity() == 1 { 1.06 } else { 0.93 };
            let rows = &rows;
            (0..3).map(move |at| scale * set.indices().map(|class| rows[class][at]).sum::<f64>())
        })
        .collect();
    let targets = Targets::new(3, sets).expect("labels are below three");
    let mut gap = Chart::new(
        "Duality gap",
        Axis::linear("iteration"),
        Axis::log("gap / value"),
    );
    gap.series = vec![Series::new(
        "",
        (1..30).map(|step| (f64::from(step), 10f64.powf(1.0 - 0.37 * f64::from(step)))),
    )];
    Ok(Report {
        kind: Kind::Ufm,
        title: "Three classes, two samples per label set".into(),
        subtitle: "PAL, λ_W = 5·10⁻³, λ_H = 1.25·10⁻³, λ_b = 10⁻³".into(),
        summary: "The solution is the global optimum, certified to 10⁻¹⁰ of its value.".into(),
        cards: vec![
            Card::new("Value", 0.798_389_699_964),
            Card::lower("Relative gap", 2.3e-10),
        ],
        curves: vec![gap],
        geometry: Some(Geometry::new(&names, &rows, Some(&rows))?),
        plane: Some(collapse_plane(&features, 3, &targets, [0, 1, 2], &names)?),
        ..Report::default()
    })
}
