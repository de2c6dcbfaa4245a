//! Where a network is trained: on the processor, or by PyTorch on whatever it has.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tagwise_nn::Device;
use tagwise_train::{TorchMode, TorchSettings};

use crate::failure::Usage;

/// Names the interpreter where it does not lie beside this program.
const PYTHON: &str = "TAGWISE_PYTHON";

/// What `--device` names.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceName {
    /// The processor, by our own engine.
    Cpu,
    /// A device as PyTorch names it.
    Torch(String),
}

impl DeviceName {
    /// Reads the word of the command line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_cuda = |text: &str| match text.strip_prefix("cuda") {
            Some(number) => {
                let number = number.strip_prefix(':');
                text == "cuda" || number.is_some_and(|number| number.parse::<u16>().is_ok())
            }
            None => false,
        };
        match text {
            "cpu" => Ok(Self::Cpu),
            "torch-cpu" => Ok(Self::Torch("cpu".into())),
            text if text == "mps" || is_cuda(text) => Ok(Self::Torch(text.into())),
            _ => Err(format!(
                "expected cpu, cuda, cuda:1 and so on, mps or torch-cpu, found {text:?}"
            )),
        }
    }

    /// The word as it is typed.
    pub fn word(&self) -> String {
        match self {
            Self::Cpu => "cpu".into(),
            Self::Torch(device) if device == "cpu" => "torch-cpu".into(),
            Self::Torch(device) => device.clone(),
        }
    }

    /// What `--resume` needs to go on where it was.
    pub fn option(&self) -> String {
        match self {
            Self::Cpu => String::new(),
            Self::Torch(_) => format!(" --device {}", self.word()),
        }
    }
}

/// What `--torch-mode` names.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeName {
    /// The fastest, timed for some steps on a GPU; eager elsewhere
    Auto,
    /// Operation by operation
    Eager,
    /// By torch.compile
    Compile,
    /// Compiled, a whole step replayed as one CUDA graph
    CudaGraphs,
}

impl ModeName {
    fn mode(self) -> TorchMode {
        match self {
            Self::Auto => TorchMode::Auto,
            Self::Eager => TorchMode::Eager,
            Self::Compile => TorchMode::Compile,
            Self::CudaGraphs => TorchMode::CudaGraphs,
        }
    }
}

/// The processor with its kernels.
pub fn cpu() -> anyhow::Result<Device> {
    Device::cpu().map_err(|error| Usage(error.to_string()).into())
}

/// The interpreter that belongs to this program, and what it is to do.
pub fn torch(device: &str, name: &DeviceName, mode: ModeName) -> anyhow::Result<TorchSettings> {
    let python = match std::env::var_os(PYTHON).filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => std::env::current_exe()
            .ok()
            .and_then(|program| beside(&program)),
    };
    let Some(python) = python else {
        return Err(Usage(format!(
            "--device {} trains on PyTorch, which this program reaches where both are installed in one \
             Python environment: pip install \"tagwise[torch]\" and run its tagwise, or name the \
             interpreter by {PYTHON}",
            name.word()
        ))
        .into());
    };
    Ok(TorchSettings {
        python,
        device: device.to_owned(),
        mode: mode.mode(),
    })
}

/// The interpreter in the folder of a program, as pip and its kin install both.
fn beside(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let places: &[&str] = match cfg!(windows) {
        true => &["python.exe", "../python.exe"],
        false => &["python3", "python"],
    };
    let mut places = places.iter().map(|name| folder.join(name));
    places.find(|python| python.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_in_pytorch() {
        let torch = |name: &str| Ok(DeviceName::Torch(name.into()));
        assert_eq!(DeviceName::parse("cpu"), Ok(DeviceName::Cpu));
        assert_eq!(DeviceName::parse("torch-cpu"), torch("cpu"));
        assert_eq!(DeviceName::parse("cuda:3"), torch("cuda:3"));
        for wrong in ["gpu", "cuda:", "cuda1", "cuda:x", "cuda:-1"] {
            assert!(DeviceName::parse(wrong).is_err(), "{wrong}");
        }
        for word in ["cpu", "torch-cpu", "mps", "cuda", "cuda:0"] {
            assert_eq!(DeviceName::parse(word).unwrap().word(), word);
        }
    }

    #[test]
    fn the_interpreter_lies_beside_the_program_or_nowhere() {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("tagwise");
        assert_eq!(beside(&program), None);
        let name = if cfg!(windows) {
            "python.exe"
        } else {
            "python3"
        };
        std::fs::write(scratch.path().join(name), "").unwrap();
        assert_eq!(beside(&program), Some(scratch.path().join(name)));
    }
}
