//! Parameters: values with gradients, stored as the kernels want them, seen as PyTorch stores them.

use crate::cpu::buffer::Buffer;
use crate::cpu::kernel::packed_weights::packed_index;
use crate::cpu::kernel::shape::ConvShape;
use crate::weights::NamedTensor;

/// How a parameter's numbers lie in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// Convolution weights in blocks of output channels; `[out, in, k, k]` outside.
    Packed { shape: ConvShape, block: usize },
    /// One number per channel, followed by zeros; `[len]` outside.
    Vector { len: usize },
    /// One number per class, without padding; `[len]` outside.
    Bias { len: usize },
    /// Row-major; `[rows, columns]` outside.
    Matrix { rows: usize, columns: usize },
}

impl Layout {
    /// The shape that the outside world sees.
    pub(crate) fn shape(self) -> Vec<usize> {
        match self {
            Layout::Packed { shape, .. } => vec![
                shape.out_channels,
                shape.in_channels,
                shape.kernel,
                shape.kernel,
            ],
            Layout::Vector { len } | Layout::Bias { len } => vec![len],
            Layout::Matrix { rows, columns } => vec![rows, columns],
        }
    }

    /// Numbers without padding.
    pub(crate) fn num_elements(self) -> usize {
        self.shape().iter().product()
    }

    /// Numbers in memory.
    pub(crate) fn stored_len(self) -> usize {
        match self {
            Layout::Packed { shape, .. } => shape.packed_len(),
            Layout::Vector { len } => crate::cpu::kernel::padded_channels(len),
            Layout::Bias { len } => len,
            Layout::Matrix { rows, columns } => rows * columns,
        }
    }

    /// Memory order → row-major order of [`Layout::shape`].
    pub(crate) fn unpack(self, stored: &[f32]) -> Vec<f32> {
        let mut plain = Vec::with_capacity(self.num_elements());
        self.for_each_position(|position| plain.push(stored[position]));
        plain
    }

    /// Row-major order → memory order; padding stays as it is.
    pub(crate) fn pack(self, plain: &[f32], stored: &mut [f32]) {
        assert_eq!(plain.len(), self.num_elements());
        let mut plain = plain.iter();
        self.for_each_position(|position| {
            if let Some(value) = plain.next() {
                stored[position] = *value;
            }
        });
    }

    /// Positions in memory, in row-major order of [`Layout::shape`].
    fn for_each_position(self, mut visit: impl FnMut(usize)) {
        let Layout::Packed { shape, block } = self else {
            (0..self.num_elements()).for_each(visit);
            return;
        };
        for out in 0..shape.out_channels {
            for input in 0..shape.in_channels {
                for tap in 0..shape.taps() {
                    visit(packed_index(&shape, block, out, input, tap));
                }
            }
        }
    }
}

/// A trainable tensor and its gradient.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub name: String,
    pub layout: Layout,
    value: Buffer,
    /// How often the value may have changed.
    version: u64,
    pub gradient: Buffer,
}

impl Parameter {
    /// A parameter of zeros.
    pub(crate) fn zeros(name: String, layout: Layout) -> Self {
        Self {
            name,
            layout,
            value: Buffer::zeros(layout.stored_len()),
            version: 0,
            gradient: Buffer::zeros(layout.stored_len()),
        }
    }

    pub(crate) fn value(&self) -> &[f32] {
        self.value.as_slice()
    }

    /// Numbers stored as this parameter's are, in PyTorch's layout under its name.
    pub(crate) fn named(&self, stored: &[f32]) -> NamedTensor {
        NamedTensor {
            name: self.name.clone(),
            shape: self.layout.shape(),
            data: self.layout.unpack(stored),
        }
    }

    /// The value, to be changed.
    pub(crate) fn value_mut(&mut self) -> &mut [f32] {
        self.value_and_gradient().0
    }

    /// The value, to be changed, and the gradient.
    pub(crate) fn value_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        self.version += 1;
        (self.value.as_mut_slice(), self.gradient.as_slice())
    }

    /// The gradient, to be replaced, and the value.
    pub(crate) fn gradient_and_value(&mut self) -> (&mut [f32], &[f32]) {
        (self.gradient.as_mut_slice(), self.value.as_slice())
    }

    /// Another number whenever the value may have changed.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }
}

/// A named tensor that is saved with the weights but not trained.
#[derive(Debug)]
pub(crate) struct Statistic {
    pub name: String,
    pub layout: Layout,
    pub value: Buffer,
}

impl Statistic {
    /// A tensor of zeros.
    pub(crate) fn zeros(name: String, layout: Layout) -> Self {
        Self {
            name,
            layout,
            value: Buffer::zeros(layout.stored_len()),
        }
    }

    /// The value in PyTorch's layout under its name.
    pub(crate) fn named(&self) -> NamedTensor {
        NamedTensor {
            name: self.name.clone(),
            shape: self.layout.shape(),
            data: self.layout.unpack(self.value.as_slice()),
        }
    }
}
