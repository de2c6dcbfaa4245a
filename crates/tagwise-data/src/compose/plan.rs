use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagwise_base::{LabelSet, Targets};

use super::Placement;
use crate::{Error, ImageShape, Result, Sources};

/// A source image and the canvas position of its top left pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) source: u32,
    pub(super) row: u16,
    pub(super) column: u16,
}

/// What every sample is made of: sample i has the pieces `first_piece[i]..first_piece[i + 1]`.
pub(super) struct Plan {
    pub(super) targets: Targets,
    pub(super) pieces: Vec<Piece>,
    pub(super) first_piece: Vec<u32>,
}

/// The canvas, its cells and how far an image may be shifted.
pub(super) struct Layout {
    placement: Placement,
    source: ImageShape,
    cells_per_side: usize,
    max_shift: usize,
}

/// Random streams from here on choose sources; those below place the samples.
const FIRST_SOURCE_STREAM: u64 = 1 << 63;

impl Layout {
    pub(super) fn new(
        placement: Placement,
        source: ImageShape,
        cells_per_side: usize,
        max_shift: usize,
    ) -> Result<Self> {
        let longest_side = cells_per_side * source.height.max(source.width);
        if longest_side > usize::from(u16::MAX) {
            return Err(Error::OutOfRange {
                name: "a canvas",
                requirement: format!("of at most {} pixels a side", u16::MAX),
                found: longest_side.to_string(),
            });
        }
        Ok(Self {
            placement,
            source,
            cells_per_side,
            max_shift,
        })
    }

    pub(super) fn canvas(&self) -> ImageShape {
        ImageShape::new(
            self.cells_per_side * self.source.height,
            self.cells_per_side * self.source.width,
            self.source.channels,
        )
    }

    /// The top left pixels, row and column, of the images of a sample with this many labels.
    fn draw_positions(&self, positions: &mut [(u16, u16)], rng: &mut ChaCha8Rng) {
        match self.placement {
            Placement::Balanced => self.draw_balanced(positions, rng),
            Placement::Paper if self.source.channels == 1 => self.draw_paper_grey(positions, rng),
            Placement::Paper => self.draw_paper_colour(positions, rng),
        }
    }

    fn draw_balanced(&self, positions: &mut [(u16, u16)], rng: &mut ChaCha8Rng) {
        let num_cells = self.cells_per_side * self.cells_per_side;
        let cells = rand::seq::index::sample(rng, num_cells, positions.len());
        for (cell, position) in cells.into_iter().zip(positions) {
            let (row, column) = (cell / self.cells_per_side, cell % self.cells_per_side);
            *position = (
                self.shifted_inwards(row, self.source.height, rng),
                self.shifted_inwards(column, self.source.width, rng),
            );
        }
    }

    /// A random position on one axis that starts in this cell and stays on the canvas: later in
    /// the first cell, earlier in the last, either way in between.
    fn shifted_inwards(&self, cell: usize, size: usize, rng: &mut ChaCha8Rng) -> u16 {
        let shift = rng.random_range(0..=self.max_shift as u32) as usize;
        let backwards = match cell {
            0 => 0,
            _ if cell + 1 == self.cells_per_side => self.max_shift,
            _ => self.max_shift / 2,
        };
        (cell * size + shift - backwards) as u16
    }

    fn draw_paper_grey(&self, positions: &mut [(u16, u16)], rng: &mut ChaCha8Rng) {
        let mut bottom_right = positions.len() == 1 || rng.random_range(0..2u32) == 0;
        for (i, position) in positions.iter_mut().enumerate() {
            if i == 1 {
                bottom_right = !bottom_right;
            }
            let cell = usize::from(bottom_right);
            let mut shifted = |size: usize| {
                let shift = rng.random_range(0..=self.max_shift as u32) as usize;
                (cell * size + shift) as u16
            };
            *position = (shifted(self.source.height), shifted(self.source.width));
        }
    }

    fn draw_paper_colour(&self, positions: &mut [(u16, u16)], rng: &mut ChaCha8Rng) {
        let mut bottom_right = rng.random_range(0..2u32) == 0;
        for (i, position) in positions.iter_mut().enumerate() {
            if i == 1 {
                bottom_right = !bottom_right;
            }
            let shift = rng.random_range(0..=self.max_shift as u32) as usize;
            let inwards = |size: usize| {
                let start = if bottom_right { size - shift } else { shift };
                start as u16
            };
            *position = (inwards(self.source.height), inwards(self.source.width));
        }
    }
}

/// Draws the whole data set: sources from a stream per label set, positions from a stream per
/// sample.
pub(super) fn draw(
    sources: &Sources,
    counts: &BTreeMap<LabelSet, usize>,
    layout: &Layout,
    seed: u64,
) -> Result<Plan> {
    let by_class = sources.by_class();
    let num_samples: usize = counts.values().sum();
    let num_pieces: usize = counts.iter().map(|(set, n)| set.multiplicity() * n).sum();
    if u32::try_from(num_pieces).is_err() {
        return Err(Error::OutOfRange {
            name: "the composed data set",
            requirement: format!("of at most {} placed images", u32::MAX),
            found: num_pieces.to_string(),
        });
    }
    let mut pieces = Vec::with_capacity(num_pieces);
    let mut first_piece = Vec::with_capacity(num_samples + 1);
    first_piece.push(0);
    for (set_id, (set, &count)) in counts.iter().enumerate() {
        let mut rng = stream(seed, FIRST_SOURCE_STREAM + set_id as u64);
        let mut decks = set
            .labels()
            .iter()
            .map(|&label| match by_class[label as usize].as_slice() {
                [] => Err(Error::NoSourceImage {
                    set: set.clone(),
                    label,
                }),
                members => Ok(Deck::new(members)),
            })
            .collect::<Result<Vec<_>>>()?;
        let mut positions = vec![(0, 0); set.multiplicity()];
        for _ in 0..count {
            let sample = first_piece.len() as u64 - 1;
            layout.draw_positions(&mut positions, &mut stream(seed, sample));
            for (deck, &(row, column)) in decks.iter_mut().zip(&positions) {
                let source = deck.deal(&mut rng);
                pieces.push(Piece {
                    source,
                    row,
                    column,
                });
            }
            first_piece.push(pieces.len() as u32);
        }
    }
    let sets = counts
        .iter()
        .flat_map(|(set, &count)| std::iter::repeat_n(set.clone(), count));
    Ok(Plan {
        targets: Targets::new(sources.images().num_classes(), sets)?,
        pieces,
        first_piece,
    })
}

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Images of one class, dealt in random order and shuffled again when all were dealt.
struct Deck {
    cards: Vec<u32>,
    dealt: usize,
}

impl Deck {
    fn new(members: &[u32]) -> Self {
        Self {
            cards: members.to_vec(),
            dealt: 0,
        }
    }

    fn deal(&mut self, rng: &mut ChaCha8Rng) -> u32 {
        let position = self.dealt % self.cards.len();
        if position == 0 {
            self.cards.shuffle(rng);
        }
        self.dealt += 1;
        self.cards[position]
    }
}
