use std::path::PathBuf;

/// What can go wrong in this crate, with the numbers a person needs to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network cannot be built from this description.
    #[error("{0}")]
    InvalidSpec(String),

    /// A buffer handed to the network has the wrong length.
    #[error("expected {expected} numbers of {what}, found {found}")]
    LengthMismatch {
        /// What is counted, for example "images [B, height, width, channels]".
        what: &'static str,
        /// The length that the network's shape asks for.
        expected: usize,
        /// The length found.
        found: usize,
    },

    /// The gradients of a batch were asked for before its forward pass in training mode.
    #[error("backward needs a forward pass in training mode before it")]
    NoForwardPass,

    /// A weights file lacks a tensor that the network has.
    #[error(
        "the weights lack the tensor {name} {}; they belong to another network",
        shape(.expected)
    )]
    MissingTensor {
        /// Name of the tensor.
        name: String,
        /// Shape that the network needs.
        expected: Vec<usize>,
    },

    /// A weights file has a tensor that the network lacks.
    #[error(
        "the weights have a tensor {name} {} that the network lacks; they belong to another network",
        shape(.found)
    )]
    UnexpectedTensor {
        /// Name of the tensor.
        name: String,
        /// Shape found.
        found: Vec<usize>,
    },

    /// A tensor has another shape than the network's.
    #[error("expected the tensor {name} of shape {}, found {}", shape(.expected), shape(.found))]
    TensorShape {
        /// Name of the tensor.
        name: String,
        /// Shape that the network needs.
        expected: Vec<usize>,
        /// Shape found.
        found: Vec<usize>,
    },

    /// A tensor is stored in a number type other than 32-bit floats.
    #[error(
        "expected the tensor {name} of type F32, found {found}; convert the weights to float32"
    )]
    TensorType {
        /// Name of the tensor.
        name: String,
        /// Type found, in safetensors' spelling.
        found: String,
    },

    /// Tensors of a kind that is not read here, or of a later version.
    #[error("{0}")]
    Unreadable(String),

    /// Bytes are not whole tensors.
    #[error("expected a safetensors file, found {problem}")]
    NotSafetensors {
        /// What the reader stumbled over.
        problem: String,
    },

    /// A file is not one of weights.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with what it holds.
        source: Box<Self>,
    },

    /// The kernels asked for cannot run here.
    #[error("TAGWISE_KERNELS: {0}")]
    Kernels(String),

    /// The operating system refused a file.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A shape as people write it: `[64, 3, 3, 3]`.
fn shape(dims: &[usize]) -> String {
    format!("{dims:?}")
}
