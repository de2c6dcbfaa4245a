//! NC1 in the coordinates of the means.

use std::collections::BTreeMap;

use faer::Mat;

use super::analysis::{Directions, Nc1Path};
use super::between::range;
use super::variability::{self, TagSpan, Variability};
use super::{Labelled, TagVectors};
use crate::Result;
use crate::product::product;

/// The range of all centred label-set means, and the within-scatter of each multiplicity in it.
pub(super) struct Compressed {
    pub(super) basis: Mat<f64>, // [d, r]
    pub(super) origin: Vec<f64>,
    pub(super) scatters: BTreeMap<usize, Mat<f64>>, // [r, r]
    pub(super) directions: Directions,
}

impl Compressed {
    /// A basis of everything that the tag span needs and, for all directions, Σ_B.
    pub(super) fn new(
        labelled: &Labelled<'_>,
        tags: &TagVectors,
        directions: Directions,
    ) -> Result<Self> {
        let origin = labelled.all().centre();
        let tag_rows = tags.centred(&tags.observed_classes());
        let num_sets = match directions {
            Directions::All => labelled.sets.len(),
            Directions::TagSpan => 0,
        };
        let span = Mat::from_fn(labelled.dim, num_sets + tag_rows.nrows(), |row, column| {
            if column < num_sets {
                labelled.means[column * labelled.dim + row] - origin[row]
            } else {
                tag_rows[(column - num_sets, row)]
            }
        });
        Ok(Self {
            basis: range(span.as_ref(), labelled.largest)?,
            origin,
            scatters: BTreeMap::new(),
            directions,
        })
    }

    /// Where the values of NC1 come from then.
    pub(super) fn path(&self) -> Nc1Path {
        match self.directions {
            Directions::All => Nc1Path::Projection,
            Directions::TagSpan => Nc1Path::TagSpan,
        }
    }

    /// NC1, which no rotation changes, in the coordinates of the basis.
    pub(super) fn variability(
        &self,
        labelled: &Labelled<'_>,
        tags: &TagVectors,
    ) -> Result<Variability> {
        let coordinates = labelled.in_coordinates(self.basis.as_ref(), &self.origin);
        let centred = product(
            tags.centred(&tags.observed_classes()).as_ref(),
            self.basis.as_ref(),
        ); // [classes, r]
        let span = TagSpan::new(centred.as_ref(), tags)?;
        let mut found = variability::measure(&coordinates, &span, |multiplicity| {
            self.scatters.get(&multiplicity).cloned()
        })?;
        if self.directions == Directions::TagSpan {
            found.keep_tag_span(labelled);
        }
        Ok(found)
    }
}
