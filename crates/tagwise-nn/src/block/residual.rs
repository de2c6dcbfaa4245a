//! A residual block: a chain of convolutions with norms, added to its input before the last ReLU.

use super::{ConvNorm, Parameter, Pass, Statistic, Workspace};
use crate::buffer::{Activations, View};
use crate::kernel::Precision;
use crate::kernel::norm::{self, Mask, Residual};
use crate::kernel::output::Write;

/// y = ReLU(body(x) + shortcut(x)), the shortcut being x itself or a 1×1 convolution with norm.
#[derive(Debug)]
pub(crate) struct ResidualBlock {
    body: Vec<ConvNorm>,
    /// Activations between the convolutions of the body, bordered.
    hidden: Vec<Activations>,
    projection: Option<ConvNorm>,
    pub y: Activations,
}

impl ResidualBlock {
    /// A block of at least one convolution.
    pub(crate) fn new(
        body: Vec<ConvNorm>,
        projection: Option<ConvNorm>,
        precision: Precision,
    ) -> Self {
        let empty = || Activations::empty(precision);
        let hidden = body.iter().skip(1).map(|_| empty()).collect();
        Self {
            body,
            hidden,
            projection,
            y: empty(),
        }
    }

    pub(crate) fn reserve(&mut self, pass: Pass, workspace: &mut Workspace) {
        for unit in self.body.iter_mut().chain(&mut self.projection) {
            unit.reserve(pass, workspace);
        }
        let outputs = self.hidden.iter_mut().chain(std::iter::once(&mut self.y));
        for (unit, output) in self.body.iter().zip(outputs) {
            output.reserve(pass.batch * unit.plane().bordered_len());
        }
    }

    pub(crate) fn forward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        let kernels = pass.device.kernels();
        for (i, unit) in self.body.iter_mut().enumerate() {
            let (before, after) = self.hidden.split_at_mut(i);
            let input = before.last().map_or(x, Activations::view);
            unit.forward(pass, input, workspace);
            let (residual, output) = match after.first_mut() {
                Some(hidden) => (Residual::None, hidden),
                None => (
                    shortcut(pass, x, &mut self.projection, workspace),
                    &mut self.y,
                ),
            };
            norm::activate(
                kernels,
                unit.plane(),
                pass.batch,
                unit.normalised(),
                residual,
                output.view_mut(),
            );
        }
    }

    /// Takes the output's gradient from the workspace and leaves the input's there.
    pub(crate) fn backward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        let Workspace {
            gradient,
            other_gradient,
            bordered,
            partial,
            conv,
        } = workspace;
        let last = self.body.len() - 1;
        for (i, unit) in self.body.iter_mut().enumerate().rev() {
            let (g, mask) = if i == last {
                (gradient.as_mut_slice(), Mask::Relu(self.y.view()))
            } else {
                (other_gradient.as_mut_slice(), Mask::Own)
            };
            unit.backward_norm(pass, mask, g, partial, bordered);
            let input = if i == 0 { x } else { self.hidden[i - 1].view() };
            unit.backward_weight(pass, input, bordered, conv);
            // `gradient` now holds the masked gradient of the sum, which an identity shortcut
            // passes on unchanged: the body's part is added to it.
            let (dx, write) = if i == 0 && self.projection.is_none() {
                (gradient.as_mut_slice(), Write::Add)
            } else {
                (other_gradient.as_mut_slice(), Write::Replace)
            };
            unit.backward_input(pass, bordered, conv, dx, write);
        }
        if let Some(unit) = &mut self.projection {
            let g = gradient.as_mut_slice();
            unit.backward_norm(pass, Mask::Done, g, partial, bordered);
            unit.backward_weight(pass, x, bordered, conv);
            let dx = other_gradient.as_mut_slice();
            unit.backward_input(pass, bordered, conv, dx, Write::Add);
            std::mem::swap(gradient, other_gradient);
        }
    }

    pub(crate) fn visit_parameters(&mut self, visit: &mut dyn FnMut(&mut Parameter)) {
        for unit in self.body.iter_mut().chain(&mut self.projection) {
            unit.visit_parameters(visit);
        }
    }

    pub(crate) fn visit_statistics(&mut self, visit: &mut dyn FnMut(&mut Statistic)) {
        for unit in self.body.iter_mut().chain(&mut self.projection) {
            unit.visit_statistics(visit);
        }
    }
}

/// What a block adds before its last ReLU.
fn shortcut<'a>(
    pass: Pass,
    x: View<'a>,
    projection: &'a mut Option<ConvNorm>,
    workspace: &mut Workspace,
) -> Residual<'a> {
    let Some(unit) = projection else {
        return Residual::Identity(x);
    };
    unit.forward(pass, x, workspace);
    Residual::Projection(unit.normalised())
}
