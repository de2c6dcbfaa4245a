//! One step of a network: a convolution with norm and ReLU, a residual block, or a maximum.

use super::{ConvNorm, ImageSums, Mode, Pass, ResidualBlock, Workspace};
use crate::Precision;
use crate::cpu::activations::{Activations, View};
use crate::cpu::kernel::norm::Residual;
use crate::cpu::kernel::norm_gradient::{Entry, Mask};
use crate::cpu::kernel::output::{Epilogue, Output, Write};
use crate::cpu::kernel::pool;
use crate::cpu::kernel::shape::Plane;

/// What becomes of the gradient of a block's input.
#[derive(Clone, Copy)]
pub(crate) enum InputGradient<'a> {
    /// Nothing: the input is the images.
    Skipped,
    /// Its last writer masks and sums it for the norm that it enters.
    Entering(Entry<'a>),
    /// It is passed on as it is.
    Plain,
}

impl InputGradient<'_> {
    /// Calls `write` with the output that leaves the gradient's sums in `sums`.
    pub(crate) fn write(self, sums: &mut [f64], dx: Output<'_>, write: impl FnOnce(Output<'_>)) {
        match self {
            InputGradient::Entering(entry) => write(dx.followed_by(Epilogue {
                sums,
                sums_len: entry.sums_len(),
                finish: &|image, g, sums| entry.take(image, g, sums),
            })),
            InputGradient::Skipped | InputGradient::Plain => write(dx),
        }
    }
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

    /// What the block does with the gradient of its output.
    pub(crate) fn output_gradient(&self, pass: Pass) -> InputGradient<'_> {
        match self {
            Block::ConvNormAct(block) => InputGradient::Entering(block.unit.entry(pass, Mask::Own)),
            Block::Residual(block) => InputGradient::Entering(block.entry(pass)),
            Block::MaxPool(_) => InputGradient::Plain,
        }
    }

    /// Takes the output's gradient, with its sums if it enters a norm, from the workspace and
    /// leaves the input's there.
    pub(crate) fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        into: InputGradient<'_>,
        workspace: &mut Workspace,
    ) {
        match self {
            Block::ConvNormAct(block) => block.backward(pass, x, into, workspace),
            Block::Residual(block) => block.backward(pass, x, into, workspace),
            Block::MaxPool(block) => block.backward(pass, x, into, workspace),
        }
    }

    /// The convolutions with their norms, in a fixed order.
    pub(crate) fn units(&self) -> impl Iterator<Item = &ConvNorm> {
        let (body, projection) = match self {
            Block::ConvNormAct(block) => (std::slice::from_ref(&block.unit), None),
            Block::Residual(block) => block.units(),
            Block::MaxPool(_) => (&[][..], None),
        };
        body.iter().chain(projection)
    }

    /// The same, to be changed.
    pub(crate) fn units_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        let (body, projection) = match self {
            Block::ConvNormAct(block) => (std::slice::from_mut(&mut block.unit), None),
            Block::Residual(block) => block.units_mut(),
            Block::MaxPool(_) => (&mut [][..], None),
        };
        body.iter_mut().chain(projection)
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
        self.unit
            .forward_activated(pass, x, Residual::None, &mut self.y, workspace);
    }

    fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        into: InputGradient<'_>,
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
        let pitch = unit.plane().pitch;
        unit.backward_parameters(pass, ImageSums::new(partial, 2 * pitch, pitch));
        unit.backward_norm(pass, gradient.view(), bordered);
        unit.backward_weight(pass, x, bordered, conv);
        if !matches!(into, InputGradient::Skipped) {
            let dx = Output::new(gradient.view_mut(), Write::Replace);
            into.write(partial, dx, |dx| {
                unit.backward_input(pass, bordered, conv, dx)
            });
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

    fn backward(
        &mut self,
        pass: Pass,
        x: View<'_>,
        into: InputGradient<'_>,
        workspace: &mut Workspace,
    ) {
        let Workspace {
            gradient,
            other_gradient,
            partial,
            ..
        } = workspace;
        let (y, dy) = (self.y.view(), gradient.view());
        let dx = Output::new(other_gradient.view_mut(), Write::Replace);
        into.write(partial, dx, |dx| {
            pool::maximum_gradient(self.plane, pass.batch, x, y, dy, dx);
        });
        std::mem::swap(gradient, other_gradient);
    }
}
