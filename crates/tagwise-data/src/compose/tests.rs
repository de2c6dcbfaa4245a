use super::*;
use crate::digits;

fn spec(per_multiplicity: &[usize], placement: Placement) -> ComposeSpec {
    ComposeSpec {
        per_multiplicity: per_multiplicity.to_vec(),
        placement,
        ..ComposeSpec::default()
    }
}

fn m_lab_digits(per_multiplicity: &[usize], placement: Placement, seed: u64) -> ComposedImages {
    let sources = Sources::all(digits::load());
    ComposedImages::new(&sources, &spec(per_multiplicity, placement), seed).unwrap()
}

/// K colour images of one pixel value each, 4×4.
fn colours(num_classes: usize) -> Sources {
    let pixels = (0..num_classes).flat_map(|class| [class as u8 + 1; 48]);
    let labels = (0..num_classes as u32).collect();
    Sources::all(
        LabelledImages::new(
            ImageShape::new(4, 4, 3),
            num_classes,
            255,
            pixels.collect(),
            labels,
        )
        .unwrap(),
    )
}

fn compose(images: &ComposedImages, index: usize) -> Vec<f32> {
    let mut canvas = vec![f32::NAN; images.shape().num_elements()];
    images.compose_into(index, &mut canvas);
    canvas
}

/// The first channel as text, one character per pixel from black to white.
fn ascii_art(images: &ComposedImages, index: usize) -> String {
    let shape = images.shape();
    let shade = |value: &f32| b" .:-=+*#%@"[(value * 9.0).round() as usize] as char;
    compose(images, index)
        .chunks_exact(shape.width * shape.channels)
        .map(|row| row.iter().step_by(shape.channels).map(shade))
        .map(|row| format!("|{}|\n", row.collect::<String>()))
        .collect()
}

#[test]
fn counts_and_label_sets_are_those_asked_for() {
    let images = m_lab_digits(&[20, 4, 1], Placement::Balanced, 0);
    assert_eq!(images.len(), 10 * 20 + 45 * 4 + 120);
    assert_eq!(images.targets().distinct().len(), 10 + 45 + 120);
    for (set, count) in images
        .targets()
        .distinct()
        .iter()
        .zip(images.targets().counts())
    {
        assert_eq!(count, [20, 4, 1][set.multiplicity() - 1], "{set}");
    }
    let labels = digits::load();
    for (index, set) in images.targets().iter().enumerate() {
        let found: Vec<u32> = images
            .sources_of(index)
            .map(|s| labels.labels()[s])
            .collect();
        assert_eq!(found, set.labels());
    }
}

#[test]
fn train_and_test_sets_share_no_source_image() {
    let (train, test) = Sources::all(digits::load()).split_off(0.25, 5).unwrap();
    let used = |sources: &Sources| {
        let images =
            ComposedImages::new(sources, &spec(&[200, 10, 2], Placement::Balanced), 1).unwrap();
        (0..images.len())
            .flat_map(|i| images.sources_of(i).collect::<Vec<_>>())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (train, test) = (used(&train), used(&test));
    assert!(train.len() > 1000 && test.len() > 300);
    assert!(train.is_disjoint(&test));
}

#[test]
fn sources_repeat_only_when_all_were_used() {
    let images = m_lab_digits(&[178], Placement::Balanced, 0);
    let class_0: std::collections::BTreeSet<usize> = (0..178)
        .flat_map(|i| images.sources_of(i).collect::<Vec<_>>())
        .collect();
    assert_eq!(class_0.len(), 178); // the digit 0 has 178 images
}

#[test]
fn bytes_depend_on_the_seed_and_not_on_the_threads() {
    let bytes = |seed, num_threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(num_threads)
            .build()
            .unwrap();
        pool.install(|| {
            let images = m_lab_digits(&[30, 5, 1], Placement::Balanced, seed);
            let indices: Vec<usize> = (0..images.len()).rev().collect();
            let mut batch = vec![0.0f32; images.len() * images.shape().num_elements()];
            images.compose_batch_into(&indices, &mut batch);
            batch.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        })
    };
    let reference = bytes(9, 1);
    assert_eq!(reference, bytes(9, 4));
    assert_ne!(reference, bytes(10, 1));
}

#[test]
fn a_composed_image_is_the_pixelwise_maximum_of_its_sources() {
    let images = m_lab_digits(&[2, 2, 2, 2], Placement::Balanced, 3);
    let source_images = digits::load();
    for index in 0..images.len() {
        let mut expected = vec![0.0f32; 256];
        for piece in images.pieces_of(index) {
            let pixels = source_images.pixels(piece.source as usize);
            for (i, &pixel) in pixels.iter().enumerate() {
                let (row, column) = (piece.row as usize + i / 8, piece.column as usize + i % 8);
                let value = &mut expected[row * 16 + column];
                *value = value.max(f32::from(pixel) / 16.0);
            }
        }
        assert_eq!(compose(&images, index), expected);
    }
}

/// Chi-squared statistic of the table "top left pixel of an image" × "multiplicity".
fn leak_statistic(images: &ComposedImages) -> (f64, usize) {
    let (num_cells, max_multiplicity) = (256, images.targets().max_multiplicity());
    let mut table = vec![vec![0.0f64; num_cells]; max_multiplicity];
    for (index, set) in images.targets().iter().enumerate() {
        for piece in images.pieces_of(index) {
            let cell = usize::from(piece.row) * 16 + usize::from(piece.column);
            table[set.multiplicity() - 1][cell] += 1.0;
        }
    }
    let total: f64 = table.iter().flatten().sum();
    let (mut statistic, mut num_used) = (0.0, 0);
    for cell in 0..num_cells {
        let in_cell: f64 = table.iter().map(|row| row[cell]).sum();
        if in_cell == 0.0 {
            continue;
        }
        num_used += 1;
        for row in &table {
            let expected = in_cell * row.iter().sum::<f64>() / total;
            statistic += (row[cell] - expected).powi(2) / expected;
        }
    }
    (statistic, (num_used - 1) * (max_multiplicity - 1))
}

/// Under independence the statistic has mean f and variance 2f for f degrees of freedom, so this
/// many standard deviations are never exceeded by chance.
const STANDARD_DEVIATIONS: f64 = 4.0;

#[test]
fn balanced_placement_does_not_leak_the_multiplicity() {
    let images = m_lab_digits(&[2000, 400, 100], Placement::Balanced, 11);
    let (statistic, freedom) = leak_statistic(&images);
    assert_eq!(freedom, (16 - 1) * 2, "2 x 2 shifts in each of 4 corners");
    let bound = freedom as f64 + STANDARD_DEVIATIONS * (2.0 * freedom as f64).sqrt();
    assert!(statistic < bound, "{statistic} of at most {bound}");
}

#[test]
fn paper_placement_leaks_the_multiplicity_of_grey_images() {
    let (statistic, freedom) = leak_statistic(&m_lab_digits(&[2000, 400], Placement::Paper, 11));
    assert!(statistic > 100.0 * freedom as f64, "{statistic}");
}

#[test]
fn every_multiplicity_up_to_nine_finds_a_cell_of_its_own() {
    let images = m_lab_digits(&[1, 1, 1, 1, 1, 1, 1, 1, 1], Placement::Balanced, 0);
    assert_eq!(images.shape(), ImageShape::new(24, 24, 1));
    for index in 0..images.len() {
        let pieces = images.pieces_of(index);
        let cell = |p: &Piece| ((p.row + 4) / 8, (p.column + 4) / 8);
        let cells: std::collections::BTreeSet<_> = pieces.iter().map(cell).collect();
        assert_eq!(cells.len(), images.targets().set(index).multiplicity());
        assert!(pieces.iter().all(|p| p.row <= 16 && p.column <= 16));
    }
    assert_eq!(
        m_lab_digits(&[0, 0, 0, 1], Placement::Balanced, 0)
            .shape()
            .height,
        16
    );
}

#[test]
fn paper_placement_of_grey_images_wraps_around_the_corner() {
    let images = m_lab_digits(&[50, 10], Placement::Paper, 2);
    for (index, set) in images.targets().iter().enumerate() {
        let rows: Vec<u16> = images.pieces_of(index).iter().map(|p| p.row).collect();
        match set.multiplicity() {
            1 => assert!((8..=9).contains(&rows[0])),
            _ => assert!(
                rows[0].abs_diff(rows[1]) >= 6,
                "{rows:?} in opposite corners"
            ),
        }
    }
    let single = (0..images.len())
        .find(|&i| images.pieces_of(i)[0].row == 9 && images.pieces_of(i)[0].column == 9)
        .unwrap();
    insta::assert_snapshot!(ascii_art(&images, single), @"
    |           +@@*.|
    |                |
    |                |
    |                |
    |                |
    |                |
    |                |
    |                |
    |                |
    |           *#-  |
    |          :@@@* |
    |          +@.-@-|
    |          +*  +#|
    |          *+  +#|
    |          +*  +*|
    |          :@*+%+|
    ");
}

#[test]
fn paper_placement_of_colour_images_uses_opposite_corners_of_one_diagonal() {
    let spec = ComposeSpec {
        max_shift: Some(1),
        ..spec(&[20, 4, 1], Placement::Paper)
    };
    let images = ComposedImages::new(&colours(5), &spec, 3).unwrap();
    let mut single_corners = std::collections::BTreeSet::new();
    for (index, set) in images.targets().iter().enumerate() {
        let pieces = images.pieces_of(index);
        assert!(
            pieces
                .iter()
                .all(|p| p.row == p.column && [0, 1, 3, 4].contains(&p.row))
        );
        let corner = |p: &Piece| p.row >= 3;
        match set.multiplicity() {
            1 => {
                single_corners.insert(corner(&pieces[0]));
            }
            2 => assert_ne!(corner(&pieces[0]), corner(&pieces[1])),
            _ => assert!(
                corner(&pieces[0]) != corner(&pieces[1])
                    && corner(&pieces[1]) == corner(&pieces[2])
            ),
        }
    }
    assert_eq!(single_corners.len(), 2);
}

#[test]
fn two_digits_in_balanced_placement_look_like_this() {
    let images = m_lab_digits(&[1, 1], Placement::Balanced, 0);
    let index = images.len() - 1;
    assert_eq!(images.targets().set(index).to_string(), "{8, 9}");
    insta::assert_snapshot!(ascii_art(&images, index), @"
    |                |
    |   .=#%.        |
    |  .#+:#         |
    |  *@+%*         |
    | .@%%@:         |
    |  *+:%          |
    |    -+          |
    |    =+          |
    |  *%+-          |
    | .@%-.          |
    |  %%+%          |
    |  -@@*          |
    |  #%%#          |
    | :@-:@-         |
    | +@*+@+         |
    | .+#%#.         |
    ");
}

#[test]
fn what_cannot_be_composed_is_refused_in_one_sentence() {
    let refusal = |sources: &Sources, spec: &ComposeSpec| {
        ComposedImages::new(sources, spec, 0)
            .unwrap_err()
            .to_string()
    };
    let all = colours(12);
    insta::assert_snapshot!(
        refusal(&all, &spec(&[0, 0, 0, 1], Placement::Paper)),
        @"expected label sets of at most 3 labels for paper placement, found 4"
    );
    insta::assert_snapshot!(
        refusal(&all, &spec(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1], Placement::Balanced)),
        @"expected label sets of at most 9 labels for balanced placement, found 10"
    );
    let shifted = ComposeSpec {
        max_shift: Some(5),
        ..spec(&[1], Placement::Balanced)
    };
    insta::assert_snapshot!(refusal(&all, &shifted), @"expected max_shift of at most 4 pixels, the size of a source image, found 5");
    let (_, half) = all.split_off(0.5, 0).unwrap();
    insta::assert_snapshot!(refusal(&half, &spec(&[1], Placement::Balanced)), @"label set {0} cannot be composed: no source image of class 0; leave the set out or add source images");
}
