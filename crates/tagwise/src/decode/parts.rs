//! What a one-nearest-neighbour decoder is made of, wherever it comes from.

use faer::{Mat, MatRef};

use super::search::Form;
use crate::{Error, Result};

/// A label set whose prototype or prior does not follow from its labels.
#[derive(Clone, Debug)]
pub(super) struct OwnPrototype {
    /// Positions in `labels`, increasing; none for the empty set.
    pub(super) classes: Box<[u32]>,
    /// The squared norm of the prototype.
    pub(super) squared_norm: f64,
    /// The term of its prior.
    pub(super) bonus: f64,
}

/// All that a decoder is made of.
pub(super) struct Parts {
    pub(super) num_classes: usize,
    pub(super) labels: Vec<u32>,
    pub(super) directions: Mat<f64>,
    pub(super) gram: Vec<f64>,
    pub(super) max_multiplicity: usize,
    pub(super) form: Form,
    pub(super) own: Vec<OwnPrototype>,
    /// The factor of the cosine in the score.
    pub(super) concentration: f64,
    /// The score below which the empty set is the answer.
    pub(super) empty_set_below: f64,
    pub(super) max_nodes: u64,
}

/// The scales of the multiplicities up to the largest, all of them positive.
pub(super) fn checked_scales(scales: &[f64], max_multiplicity: usize) -> Result<Vec<f64>> {
    let Some(scales) = scales.get(..max_multiplicity) else {
        return Err(Error::SizeMismatch {
            what: "scales, one for each multiplicity",
            expected: max_multiplicity,
            found: scales.len(),
        });
    };
    match scales
        .iter()
        .find(|&&scale| !(scale > 0.0 && scale.is_finite()))
    {
        Some(scale) => Err(Error::OutOfRange {
            name: "the scale of a multiplicity",
            requirement: "greater than 0 and finite",
            found: scale.to_string(),
        }),
        None => Ok(scales.to_vec()),
    }
}

/// The entries of a matrix row by row.
pub(super) fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows())
        .flat_map(|row| (0..matrix.ncols()).map(move |column| matrix[(row, column)]))
        .collect()
}
