//! One step of a network: a convolution with norm and ReLU, a residual block, or a maximum.

use super::{ConvNorm, Mode, Parameter, Pass, ResidualBlock, Statistic, Workspace};
use crate::buffer::{Activations, View};
use crate::kernel::Precision;
use crate::kernel::norm::{self, Mask, Plane, Residual};
use crate::kernel::output::Write;
use crate::kernel::pool;

/// Whether anything before a block needs its input's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputGradient {
    Needed,
    Skipped,
}

/// One step of a network.
#[derive(Debug)]
pub(crate) enum Block {
    ConvNormAct(ConvNormAct),
    Residual(ResidualBlock),
    MaxPool(MaxPool),
}

impl Block {
    /// Bordered activations of the last forward pass, `[B, h+2, w+2, pitch]`.
    pub(crate) fn output(&self) -> View<'_> {
        match self {
            Block::ConvNormAct(block) => block.y.view(),
            Block::Residual(block) => block.y.view(),
            Block::MaxPool(block) => block.y.view(),
        }
    }

    pub(crate) fn reserve(&mut self, pass: Pass, workspace: &mut Workspace) {
        match self {
            Block::ConvNormAct(block) => block.reserve(pass, workspace),
            Block::Residual(block) => block.reserve(pass, workspace),
            Block::MaxPool(block) => block.reserve(pass, workspace),
        }
    }

    pub(crate) fn forward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        match self {
            Block::ConvNormAct(block) => block.forward(pass, x, workspace),
            Block::Residual(block) => block.forward(pass, x, workspace),
            Block::MaxPool(block) => block.forward(pass, x),
        }
    }

    /// Takes the output's gradient from the workspace and leaves the input's there.
    pub(crate) fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        input_gradient: InputGradient,
        workspace: &mut Workspace,
    ) {
        match self {
            Block::ConvNormAct(block) => block.backward(pass, x, input_gradient, workspace),
            Block::Residual(block) => block.backward(pass, x, workspace),
            Block::MaxPool(block) => block.backward(pass, x, workspace),
        }
    }

    pub(crate) fn visit_parameters(&mut self, visit: &mut dyn FnMut(&mut Parameter)) {
        match self {
            Block::ConvNormAct(block) => block.unit.visit_parameters(visit),
            Block::Residual(block) => block.visit_parameters(visit),
            Block::MaxPool(_) => {}
        }
    }

    pub(crate) fn visit_statistics(&mut self, visit: &mut dyn FnMut(&mut Statistic)) {
        match self {
            Block::ConvNormAct(block) => block.unit.visit_statistics(visit),
            Block::Residual(block) => block.visit_statistics(visit),
            Block::MaxPool(_) => {}
        }
    }
}

/// y = ReLU(norm(x ∗ w)).
#[derive(Debug)]
pub(crate) struct ConvNormAct {
    unit: ConvNorm,
    y: Activations,
}

impl ConvNormAct {
    pub(crate) fn new(unit: ConvNorm, precision: Precision) -> Self {
        Self {
            unit,
            y: Activations::empty(precision),
        }
    }

    fn reserve(&mut self, pass: Pass, workspace: &mut Workspace) {
        self.unit.reserve(pass, workspace);
        self.y
            .reserve(pass.batch * self.unit.plane().bordered_len());
    }

    fn forward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        self.unit.forward(pass, x, workspace);
        norm::activate(
            pass.device.kernels(),
            self.unit.plane(),
            pass.batch,
            self.unit.normalised(),
            Residual::None,
            self.y.view_mut(),
        );
    }

    fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        input_gradient: InputGradient,
        workspace: &mut Workspace,
    ) {
        let Workspace {
            gradient,
            bordered,
            partial,
            conv,
            ..
        } = workspace;
        let unit = &mut self.unit;
        unit.backward_norm(pass, Mask::Own, gradient.as_mut_slice(), partial, bordered);
        unit.backward_weight(pass, x, bordered, conv);
        if input_gradient == InputGradient::Needed {
            let dx = gradient.as_mut_slice();
            unit.backward_input(pass, bordered, conv, dx, Write::Replace);
        }
    }
}

/// y = maximum of x over 2×2 windows with stride 2.
#[derive(Debug)]
pub(crate) struct MaxPool {
    plane: Plane,
    y: Activations,
}

impl MaxPool {
    /// A maximum over activations of this plane.
    pub(crate) fn new(plane: Plane, precision: Precision) -> Self {
        Self {
            plane,
            y: Activations::empty(precision),
        }
    }

    fn reserve(&mut self, pass: Pass, workspace: &mut Workspace) {
        self.y
            .reserve(pass.batch * pool::halved(self.plane).bordered_len());
        if pass.mode == Mode::Train {
            let len = pass.batch * self.plane.len();
            workspace.gradient.reserve(len);
            workspace.other_gradient.reserve(len);
        }
    }

    fn forward(&mut self, pass: Pass, x: View<'_>) {
        pool::maximum(self.plane, pass.batch, x, self.y.view_mut());
    }

    fn backward(&mut self, pass: Pass, x: View<'_>, workspace: &mut Workspace) {
        pool::maximum_gradient(
            self.plane,
            pass.batch,
            x,
            self.y.view(),
            workspace.gradient.as_slice(),
            workspace.other_gradient.as_mut_slice(),
        );
        std::mem::swap(&mut workspace.gradient, &mut workspace.other_gradient);
    }
}
