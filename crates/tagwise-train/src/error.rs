use std::path::{Path, PathBuf};

/// What can stop a run, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The experiment cannot be meant as it is written.
    #[error("{0}")]
    Configuration(String),

    /// The source images are not where they are looked for.
    #[error("{source_name} is not in {}", .folder.display())]
    NoData {
        /// Name of the source.
        source_name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },

    /// The machine has too little memory for the run.
    #[error(
        "this run takes about {needed} of memory ({network} for the network), {available} are \
         available; try a smaller training.batch_size (now {batch_size}) or \
         evaluation.batch_size (now {evaluation_batch_size})"
    )]
    Memory {
        /// What the run takes.
        needed: String,
        /// What the system can give.
        available: String,
        /// The network's share.
        network: String,
        /// Images in a training step.
        batch_size: usize,
        /// Images in a batch when nothing is learned.
        evaluation_batch_size: usize,
    },

    /// A run folder that must be new exists.
    #[error("the run folder {} exists already", .0.display())]
    RunFolderExists(PathBuf),

    /// The caller's progress callback stopped the work.
    #[error("stopped before the trained network was measured")]
    Interrupted,

    /// Another process trains in a run folder.
    #[error("another process trains in {}; wait until it ends", .0.display())]
    RunFolderBusy(PathBuf),

    /// A run folder cannot be made.
    #[error("the run folder {} cannot be made: {source}", .path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },

    /// A run folder that must exist does not hold a run.
    #[error("{} holds no run to resume: {missing} is missing", .folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
        /// The first file that is missing.
        missing: &'static str,
    },

    /// A file of the run, its checkpoint or its records, belongs to another experiment or is
    /// damaged.
    #[error("{}: {message}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found and what to do.
        message: String,
    },

    /// Bytes are no checkpoint, or not as they were written.
    #[error("the checkpoint is damaged ({what})")]
    Damaged {
        /// What the reader stumbled over.
        what: String,
    },

    /// A checkpoint is of another experiment.
    #[error("the checkpoint is of another experiment")]
    Foreign,

    /// A weights file cannot start this network.
    #[error("the weights in {} cannot be used: {source}", .path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: tagwise_nn::Error,
    },

    /// A weights file holds NaN or infinity.
    #[error(
        "the weights in {} cannot be used: expected finite numbers, found {value} in {tensor}",
        .path.display()
    )]
    WeightsNotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The first such number.
        value: f32,
    },

    /// A weights file would replace the fixed ETF by another classifier.
    #[error(
        "expected the simplex ETF as the classifier in {}, found another one; \
         train a learned classifier, or start from a run with a fixed ETF",
        .0.display()
    )]
    NotTheEtf(PathBuf),

    /// PyTorch cannot be reached, has no such device, or gave up: the whole sentence.
    #[error("{0}")]
    Torch(String),

    /// A run is asked for its results before it has them.
    #[error(
        "expected a run that is trained to its end, found nothing measured after epoch {epoch} of \
         {epochs}; train it before it is finished"
    )]
    NotTrained {
        /// The epoch that was not measured.
        epoch: usize,
        /// Epochs of the whole run.
        epochs: usize,
    },

    /// The loss is no longer a number.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}; try a smaller training.learning_rate \
         (now {learning_rate}) or a larger training.batch_size; the files of epoch {last_epoch} stand"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// The loss found.
        loss: f64,
        /// Learning rate of the step.
        learning_rate: f64,
        /// The last epoch that ended well; 0 for the initial network.
        last_epoch: usize,
    },

    /// The weights that a run starts from give no loss.
    #[error("expected a finite loss of the network before training, found {0}; check the weights")]
    LossNotFinite(f64),

    /// The operating system refused a file or folder.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },

    /// From the mathematics.
    #[error(transparent)]
    Mathematics(#[from] tagwise::Error),

    /// From the data.
    #[error(transparent)]
    Data(#[from] tagwise_data::Error),

    /// From the engine.
    #[error(transparent)]
    Engine(#[from] tagwise_nn::Error),
}

impl Error {
    /// What the engine says about tensors, with the file that they come from.
    pub(crate) fn about_weights(self, path: &Path) -> Self {
        match self {
            Self::Engine(source) => Self::Weights {
                path: path.to_owned(),
                source,
            },
            other => other,
        }
    }
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
