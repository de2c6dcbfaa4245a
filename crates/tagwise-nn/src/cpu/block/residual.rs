//! A residual block: a chain of convolutions with norms, added to its input before the last ReLU.

use super::{ConvNorm, ImageSums, InputGradient, Mode, Pass, Workspace};
use crate::Precision;
use crate::cpu::activations::{Activations, View};
use crate::cpu::kernel::norm::Residual;
use crate::cpu::kernel::norm_gradient::{Entry, Mask};
use crate::cpu::kernel::output::{Output, Write};

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
        if let Some(unit) = &mut self.projection {
            unit.reserve_output(pass);
        }
        let outputs = self.hidden.iter_mut().chain(std::iter::once(&mut self.y));
        for (unit, output) in self.body.iter().zip(outputs) {
            output.reserve(pass.batch * unit.plane().bordered_len());
        }
        if pass.mode == Mode::Train {
            workspace.reserve_sums(pass.batch * self.entry(pass).sums_len());
        }
    }

    pub(crate) fn forward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        let Self {
            body,
            hidden,
            projection,
            y,
        } = self;
        for (i, unit) in body.iter_mut().enumerate() {
            let (before, after) = hidden.split_at_mut(i);
            let input = before.last().map_or(x, Activations::view);
            let (residual, output) = match after.first_mut() {
                Some(hidden) => (Residual::None, hidden),
                None => (shortcut(pass, x, projection, workspace), &mut *y),
            };
            unit.forward_activated(pass, input, residual, output, workspace);
        }
    }

    /// The norms that the output's gradient enters.
    pub(crate) fn entry(&self, pass: Pass) -> Entry<'_> {
        let last = self.body.last().expect("a block has a convolution");
        Entry {
            side: self.projection.as_ref().map(ConvNorm::centred),
            ..last.entry(pass, Mask::Relu(self.y.view()))
        }
    }

    /// Takes the output's gradient and its sums from the workspace and leaves the input's there.
    pub(crate) fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        into: InputGradient<'_>,
        workspace: &mut Workspace,
    ) {
        let Workspace {
            gradient,
            other_gradient,
            bordered,
            partial,
            conv,
            ..
        } = workspace;
        let last = self.body.len() - 1;
        let len = self.entry(pass).sums_len();
        if let Some(unit) = &mut self.projection {
            let products = 2 * unit.plane().pitch;
            unit.backward_parameters(pass, ImageSums::new(partial, len, products));
        }
        for i in (0..=last).rev() {
            let (below, rest) = self.body.split_at_mut(i);
            let unit = &mut rest[0];
            let pitch = unit.plane().pitch;
            let (g, len) = if i == last {
                (&*gradient, len)
            } else {
                (&*other_gradient, 2 * pitch)
            };
            unit.backward_parameters(pass, ImageSums::new(partial, len, pitch));
            unit.backward_norm(pass, g.view(), bordered);
            let input = if i == 0 { x } else { self.hidden[i - 1].view() };
            unit.backward_weight(pass, input, bordered, conv);
            // `gradient` now holds the masked gradient of the sum, which an identity shortcut
            // passes on unchanged: the body's part is added to it.
            let (dx, write, into) = match (below.last(), &self.projection) {
                (Some(unit), _) => {
                    let entry = unit.entry(pass, Mask::Own);
                    let into = InputGradient::Entering(entry);
                    (&mut *other_gradient, Write::Replace, into)
                }
                (None, Some(_)) => (&mut *other_gradient, Write::Replace, InputGradient::Plain),
                (None, None) => (&mut *gradient, Write::Add, into),
            };
            into.write(partial, Output::new(dx.view_mut(), write), |dx| {
                unit.backward_input(pass, bordered, conv, dx);
            });
        }
        if let Some(unit) = &mut self.projection {
            unit.backward_norm(pass, gradient.view(), bordered);
            unit.backward_weight(pass, x, bordered, conv);
            let dx = Output::new(other_gradient.view_mut(), Write::Add);
            into.write(partial, dx, |dx| {
                unit.backward_input(pass, bordered, conv, dx)
            });
            std::mem::swap(gradient, other_gradient);
        }
    }

    /// The convolutions of the body and the projection, if there is one.
    pub(crate) fn units(&self) -> (&[ConvNorm], Option<&ConvNorm>) {
        (&self.body, self.projection.as_ref())
    }

    /// The same, to be changed.
    pub(crate) fn units_mut(&mut self) -> (&mut [ConvNorm], Option<&mut ConvNorm>) {
        (&mut self.body, self.projection.as_mut())
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
