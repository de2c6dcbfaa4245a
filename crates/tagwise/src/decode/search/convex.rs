//! Depth-first search by the convexity of the norm: few nodes far from collapse, each with a
//! [`Relaxation`] to solve.

use super::excess::Magnitudes;
use super::geometry::Query;
use super::progress::Progress;
use super::relaxation::{Level, Problem, Relaxation, Verdict, add};

/// Buffers of the search.
#[derive(Clone, Debug, Default)]
pub(super) struct Convex {
    levels: Vec<Level>,
    chosen: Vec<u32>,
    relaxation: Relaxation,
}

impl Convex {
    /// Offers every set of this multiplicity that may be among the best, until the nodes run out.
    /// Does nothing and returns `false` where the score is not a concave function.
    pub(super) fn run(
        &mut self,
        query: &Query<'_>,
        multiplicity: usize,
        progress: &mut Progress,
    ) -> bool {
        let geometry = query.geometry;
        let (Some(origin), Some(ridge)) = (progress.score_to_beat(), geometry.ridge()) else {
            return false;
        };
        let count = multiplicity as f64;
        let problem = Problem {
            query,
            multiplicity,
            ridge,
            origin,
            largest: Magnitudes {
                product: count * query.largest_product,
                norm: count * count * geometry.largest_gram,
            },
        };
        if !problem.excess(progress).is_concave() {
            return false;
        }
        self.levels
            .resize_with(geometry.max_multiplicity + 1, Level::default);
        let root = &mut self.levels[0];
        root.free.clear();
        root.free.extend(0..geometry.num_classes as u32);
        root.row.clear();
        root.row.resize(geometry.num_classes, 0.0);
        self.explore(&problem, progress, 0);
        true
    }

    /// Offers the sets below a node: those with one of its labels, then those without, and so on.
    fn explore(&mut self, problem: &Problem<'_>, progress: &mut Progress, depth: usize) {
        let num_chosen = self.chosen.len();
        let remaining = problem.multiplicity - num_chosen;
        loop {
            let level = &mut self.levels[depth];
            if level.free.len() < remaining || !progress.visit() {
                return;
            }
            if remaining <= 1 || level.free.len() == remaining {
                self.finish(problem, progress, depth);
                return;
            }
            let verdict = self
                .relaxation
                .judge(problem, progress, &self.chosen, level);
            match verdict {
                Verdict::Excluded => return,
                Verdict::Single => {}
                Verdict::Forced => {
                    let forced = level.free.iter().copied();
                    let forced = forced.filter(|&label| self.relaxation.is_forced(label));
                    self.chosen.extend(forced);
                    if self.chosen.len() <= problem.multiplicity {
                        self.enter(problem, depth, num_chosen);
                        self.explore(problem, progress, depth + 1);
                    }
                    self.chosen.truncate(num_chosen);
                    return;
                }
                Verdict::Open(label) => {
                    self.chosen.push(label);
                    self.enter(problem, depth, num_chosen);
                    self.explore(problem, progress, depth + 1);
                    self.chosen.truncate(num_chosen);
                    self.levels[depth].free.retain(|&other| other != label);
                }
            }
        }
    }

    /// Prepares the level below this one for the labels chosen since.
    fn enter(&mut self, problem: &Problem<'_>, depth: usize, num_chosen: usize) {
        let added = &self.chosen[num_chosen..];
        let (above, below) = self.levels.split_at_mut(depth + 1);
        let (from, to) = (&above[depth], &mut below[0]);
        to.free.clear();
        let free = from.free.iter().copied();
        to.free.extend(free.filter(|label| !added.contains(label)));
        to.row.clone_from(&from.row);
        (to.product, to.norm) = (from.product, from.norm);
        for &label in added {
            let row = problem.query.geometry.gram_row(label);
            to.product += problem.query.products[label as usize];
            to.norm += 2.0 * to.row[label as usize] + row[label as usize];
            add(&mut to.row, row);
        }
    }

    /// Offers the sets of a level where one label at most is still to be chosen, or all are.
    fn finish(&mut self, problem: &Problem<'_>, progress: &mut Progress, depth: usize) {
        let level = &self.levels[depth];
        let num_chosen = self.chosen.len();
        if problem.multiplicity - num_chosen != 1 {
            let free = match problem.multiplicity - num_chosen {
                0 => &[],
                _ => &*level.free,
            };
            self.chosen.extend_from_slice(free);
            progress.offer(problem.query, &self.chosen);
            self.chosen.truncate(num_chosen);
            return;
        }
        for &label in &level.free {
            let k = label as usize;
            let product = level.product + problem.query.products[k];
            let own = problem.query.geometry.gram_row(label)[k];
            let excess = problem.excess(progress);
            if excess.at(product, level.norm + 2.0 * level.row[k] + own)
                > -excess.slack(problem.largest)
            {
                self.chosen.push(label);
                progress.offer(problem.query, &self.chosen);
                self.chosen.pop();
            }
        }
    }
}
