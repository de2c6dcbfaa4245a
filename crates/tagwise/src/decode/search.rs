//! Exact search for the label set of highest score among all sets up to a multiplicity.
//!
//! With b the vector of inner products ⟨h, h̄_k⟩ and G the Gram matrix of the class means, the
//! score of a set S depends on h only through b(S) = Σ_{k∈S} b_k, and on the geometry only through
//! q(S) = 1_SᵀG1_S. The sets of one multiplicity after the other are searched depth first, with
//! one of two bounds of q(S) that are sums over labels: [`additive`] ones, nearly free and tight
//! close to collapse, and when these need many nodes those of a convex [`relaxation`], solved at
//! each node and tight far from it as well.

mod additive;
mod convex;
mod excess;
mod geometry;
mod progress;
mod relaxation;

use additive::Additive;
use convex::Convex;
use geometry::Query;
pub(super) use geometry::{Form, Geometry, Offset};
pub(super) use progress::Found;
use progress::Progress;

/// Bounds closer to the threshold than this many roundings are ties, which need no search.
const ROUNDINGS: f64 = 64.0 * f64::EPSILON;

/// Nodes of a sample after which additive bounds are given up: they cost a few times less each, and
/// close to collapse a dozen are enough. They say more about distances than about the cosine, whose
/// root they have to bound as well.
fn additive_nodes(form: &Form) -> u64 {
    match form {
        Form::Cosine { .. } => 64,
        Form::Quadratic { .. } => 256,
    }
}

/// A search for the best sets, with buffers that are kept from one sample to the next.
#[derive(Clone, Debug)]
pub(super) struct Search {
    progress: Progress,
    additive: Additive,
    convex: Convex,
    ranked: Vec<u32>,
    additive_nodes: fn(&Form) -> u64,
    max_nodes: u64,
}

impl Search {
    /// A search for the `wanted` best sets that visits at most `max_nodes` nodes.
    pub(super) fn new(wanted: usize, max_nodes: u64) -> Self {
        Self {
            progress: Progress::new(wanted),
            additive: Additive::default(),
            convex: Convex::default(),
            ranked: Vec::new(),
            additive_nodes,
            max_nodes,
        }
    }

    /// The best sets for these inner products ⟨h, h̄_k⟩ and these scored sets of sorted labels from
    /// elsewhere, best first.
    ///
    /// At least one set is found unless every prototype is zero under the cosine.
    pub(super) fn run<'a>(
        &mut self,
        geometry: &Geometry,
        products: &[f64],
        scored: impl Iterator<Item = (&'a [u32], f64)>,
    ) -> &[Found] {
        self.progress.restart();
        for (labels, score) in scored {
            self.progress.keep(labels, score);
        }
        let query = Query::new(geometry, products);
        self.seed(&query);
        for multiplicity in 1..=geometry.max_multiplicity {
            self.search(&query, multiplicity);
        }
        self.progress.best()
    }

    /// Searches the sets of one multiplicity: by additive bounds while that takes few nodes.
    fn search(&mut self, query: &Query<'_>, multiplicity: usize) {
        let progress = &mut self.progress;
        let additive_nodes = (self.additive_nodes)(&query.geometry.form);
        if progress.nodes() <= additive_nodes {
            progress.limit_nodes(self.max_nodes.min(additive_nodes));
            self.additive.run(query, multiplicity, progress);
            if !progress.is_spent() {
                return;
            }
        }
        progress.limit_nodes(self.max_nodes);
        if !self.convex.run(query, multiplicity, progress) {
            self.additive.run(query, multiplicity, progress);
        }
    }

    /// Whether the last search ended before it had excluded all other sets.
    pub(super) fn was_cut(&self) -> bool {
        self.progress.nodes() > self.max_nodes
    }

    /// Starts from every single label and, for each multiplicity, the labels of largest product.
    fn seed(&mut self, query: &Query<'_>) {
        let (geometry, products) = (query.geometry, query.products);
        for label in 0..geometry.num_classes as u32 {
            self.progress.offer_sorted(query, &[label]);
        }
        let ranked = &mut self.ranked;
        ranked.clear();
        ranked.extend(0..geometry.num_classes as u32);
        let by_product = |a: &u32, b: &u32| {
            products[*b as usize]
                .total_cmp(&products[*a as usize])
                .then(a.cmp(b))
        };
        let kept = geometry.max_multiplicity;
        if kept < ranked.len() {
            ranked.select_nth_unstable_by(kept - 1, by_product);
        }
        ranked[..kept].sort_unstable_by(by_product);
        for multiplicity in 2..=kept {
            self.progress.offer(query, &ranked[..multiplicity]);
        }
    }
}

#[cfg(test)]
mod tests;
