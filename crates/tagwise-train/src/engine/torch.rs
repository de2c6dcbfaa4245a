//! The engine on PyTorch: a Python process that keeps images, network and optimiser on its device.

mod worker;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::{Value, json};
use tagwise::head::HeadPotentials;
use tagwise_data::{ImageSet, Normalisation};
use tagwise_nn::blueprint::{Blueprint, TensorSpec};
use tagwise_nn::{NamedTensor, NetworkSpec};

use super::potentials::{What, divided};
use super::{Engine, Epoch, LearnedPotentials, Pass};
use crate::{DataSets, Error, Experiment, Extracted, Result, Split};
use worker::{Answer, Worker, unexpected};

/// The version of the protocol, which both sides name.
const PROTOCOL: u64 = 2;

/// Images composed at a time on their way to the device.
const IMAGES_AT_ONCE: usize = 1024;

/// Which interpreter computes where, and how.
#[derive(Clone, Debug)]
pub struct TorchSettings {
    /// A Python that has PyTorch and the package `tagwise`.
    pub python: PathBuf,
    /// `cuda`, `cuda:1`, `mps` or `cpu`, as PyTorch names devices.
    pub device: String,
    /// How steps are run.
    pub mode: TorchMode,
}

/// How the steps of training are run; evaluation is always eager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TorchMode {
    /// On a GPU the fastest of the others, which are timed for some steps; eager elsewhere.
    #[default]
    Auto,
    /// Operation by operation.
    Eager,
    /// Compiled by `torch.compile`.
    Compile,
    /// Compiled, and a whole step replayed as one CUDA graph.
    CudaGraphs,
}

impl TorchMode {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Eager => "eager",
            Self::Compile => "compile",
            Self::CudaGraphs => "cuda-graphs",
        }
    }
}

/// A network in a Python process, on any device that PyTorch has.
///
/// The images of all three data sets lie on the device as bytes; batches are taken there by number.
/// Features and logits that are measured are always computed in f32, without TF32.
#[derive(Debug)]
pub struct TorchEngine {
    spec: NetworkSpec,
    blueprint: Blueprint,
    device: String,
    memory: Option<u64>,
    /// As at the start; what they have become is on the device.
    potentials: Option<RefCell<LearnedPotentials>>,
    worker: RefCell<Worker>,
}

impl TorchEngine {
    /// Starts the process, hands it the network of an experiment with its initial weights, and all
    /// images.
    ///
    /// # Errors
    /// [`Error::Configuration`] for networks that cannot be meant; [`Error::Torch`] where PyTorch, the
    /// device or its memory is missing.
    pub fn open(
        settings: &TorchSettings,
        experiment: &Experiment,
        data: &DataSets,
    ) -> Result<Self> {
        let spec = experiment.network_spec(data.image_shape(), data.num_classes());
        let unbuildable = |error: tagwise_nn::Error| Error::Configuration(error.to_string());
        let blueprint = spec.blueprint().map_err(unbuildable)?;
        let weights = blueprint
            .initial_state(experiment.seed)
            .map_err(unbuildable)?;
        let potentials =
            LearnedPotentials::of_experiment(experiment, data, blueprint.feature_dim())?;
        let mut worker = Worker::start(&settings.python)?;
        expect_partner(&worker.answer()?)?;
        let training = &experiment.training;
        let opened = worker.ask(
            json!({
                "do": "open",
                "device": settings.device,
                "mode": settings.mode.name(),
                "precision": training.precision.name(),
                "momentum": training.momentum,
                "weight_decay": training.weight_decay,
                "batch_size": training.batch_size,
                "evaluation_batch_size": experiment.evaluation.batch_size,
                "blueprint": blueprint,
                "tensors": blueprint.tensors(),
                "potentials": potentials.as_ref().map(described),
                "scale": scale(&data.train),
                "images": Split::ALL.map(|split| data.split(split).len()),
            }),
            &[],
        )?;
        let memory = opened.number("memory").ok();
        let mut engine = Self {
            spec,
            blueprint,
            device: String::new(),
            memory,
            potentials: potentials.map(RefCell::new),
            worker: RefCell::new(worker),
        };
        let start = engine.of_potentials(What::Values);
        engine.load_state(&[weights, start].concat())?;
        for split in Split::ALL {
            engine.hand_over(split, data.split(split))?;
        }
        let objective = json!({ "do": "prepare", "objective": objective(&experiment.objective()) });
        let prepared = engine.worker.get_mut().ask(objective, &[])?;
        engine.device = prepared.text("device")?.to_owned();
        Ok(engine)
    }

    /// Puts the images of a data set on the device, and what labels they carry if they are learned.
    fn hand_over(&mut self, split: Split, images: &ImageSet) -> Result<()> {
        let image_len = images.shape().num_elements();
        let targets = match split {
            Split::Train => images.targets().to_multi_hot(),
            Split::Validation | Split::Test => Vec::new(),
        };
        let request = json!({ "do": "images", "split": split.name(), "targets": targets.len() });
        let num_bytes = images.len() * image_len + targets.len();
        let worker = self.worker.get_mut();
        worker.send(request, num_bytes, |pipe| {
            let mut bytes = vec![0; IMAGES_AT_ONCE.min(images.len()) * image_len];
            for start in (0..images.len()).step_by(IMAGES_AT_ONCE) {
                let some = IMAGES_AT_ONCE.min(images.len() - start);
                let bytes = &mut bytes[..some * image_len]; // [B, H, W, C]
                let rows = bytes.par_chunks_exact_mut(image_len).enumerate();
                rows.for_each(|(row, bytes)| images.bytes_into(start + row, bytes));
                pipe.write_all(bytes)?;
            }
            pipe.write_all(&targets)
        })?;
        worker.answer().map(drop)
    }

    /// Tensors of the process in the order of these.
    fn tensors(&self, what: &str, specs: Vec<Shaped>) -> Result<Vec<NamedTensor>> {
        let answer = self.worker.borrow_mut().ask(json!({ "do": what }), &[])?;
        let numbers = answer.singles();
        let expected: usize = specs.iter().map(|(_, shape)| num_elements(shape)).sum();
        if numbers.len() != expected {
            return Err(unexpected("all tensors"));
        }
        let mut rest = numbers.as_slice();
        let tensors = specs.into_iter().map(|(name, shape)| {
            let (own, others) = rest.split_at(num_elements(&shape));
            rest = others;
            NamedTensor {
                name,
                shape,
                data: own.to_vec(),
            }
        });
        Ok(tensors.collect())
    }

    /// Sends tensors to the process.
    fn send(&mut self, what: &str, tensors: &[&NamedTensor]) -> Result<()> {
        let numbers = tensors
            .iter()
            .map(|tensor| tensor.data.len())
            .sum::<usize>();
        let worker = self.worker.get_mut();
        worker.send(json!({ "do": what }), numbers * size_of::<f32>(), |pipe| {
            for tensor in tensors {
                let bytes: Vec<u8> = tensor.data.iter().flat_map(|x| x.to_le_bytes()).collect();
                pipe.write_all(&bytes)?;
            }
            Ok(())
        })?;
        worker.answer().map(drop)
    }

    fn trained(&self) -> Vec<Shaped> {
        let mut specs = self.blueprint.tensors();
        specs.retain(|spec| spec.role.is_trained());
        self.with_potentials(specs)
    }

    /// The tensors of the network and of the potentials behind them, as the process has them.
    fn with_potentials(&self, specs: Vec<TensorSpec>) -> Vec<Shaped> {
        let potentials = self.of_potentials(What::Values);
        let specs = specs.into_iter().map(|spec| (spec.name, spec.shape));
        specs
            .chain(potentials.into_iter().map(|own| (own.name, own.shape)))
            .collect()
    }

    /// The tensors of the potentials at the start.
    fn of_potentials(&self, what: What) -> Vec<NamedTensor> {
        let potentials = self.potentials.as_ref();
        potentials.map_or_else(Vec::new, |own| own.borrow().tensors(what))
    }

    /// Those of the potentials among these tensors in order, or among others where there are none.
    fn or_own(
        &self,
        what: What,
        found: Vec<NamedTensor>,
        own: impl FnOnce() -> Result<Vec<NamedTensor>>,
    ) -> Result<Vec<NamedTensor>> {
        let Some(potentials) = &self.potentials else {
            return Ok(Vec::new());
        };
        let potentials = potentials.borrow();
        let tensors = match found.is_empty() {
            true => divided(&own()?).0,
            false => found,
        };
        potentials.expect(what, &tensors)?;
        let names = potentials.tensors(what).into_iter();
        let sorted = names.filter_map(|own| tensors.iter().find(|t| t.name == own.name).cloned());
        Ok(sorted.collect())
    }
}

impl Engine for TorchEngine {
    fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    fn feature_dim(&self) -> usize {
        self.blueprint.feature_dim()
    }

    fn device(&self) -> String {
        self.device.clone()
    }

    fn device_memory(&self) -> Option<u64> {
        self.memory
    }

    fn learn(
        &mut self,
        epoch: Epoch<'_>,
        report: &mut dyn FnMut(&[f64]) -> ControlFlow<()>,
    ) -> Result<()> {
        let order = epoch.order.iter().flat_map(|&i| (i as u32).to_le_bytes());
        let rates = epoch
            .learning_rates
            .iter()
            .flat_map(|rate| rate.to_le_bytes());
        let payload: Vec<u8> = order.chain(rates).collect();
        let worker = self.worker.get_mut();
        worker.ask(
            json!({
                "do": "learn",
                "samples": epoch.order.len(),
                "steps": epoch.learning_rates.len(),
                "batch_size": epoch.batch_size,
                "objective": objective(epoch.objective),
            }),
            &payload,
        )?;
        let mut left = epoch.learning_rates.len();
        while left > 0 {
            let losses = worker.ask(json!({ "do": "steps" }), &[])?.doubles();
            left = left
                .checked_sub(losses.len())
                .ok_or_else(|| unexpected("losses of the steps alone"))?;
            if report(&losses).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn extract(
        &mut self,
        pass: Pass<'_>,
        extracted: &mut Extracted,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let (dim, num_classes) = (self.blueprint.feature_dim(), self.blueprint.num_classes());
        let worker = self.worker.get_mut();
        let total = pass.data.split(pass.split).len();
        let mut done = 0;
        while done < total {
            let request = json!({
                "do": "extract",
                "split": pass.split.name(),
                "first": done,
                "batch_size": pass.batch_size,
            });
            let answer = worker.ask(request, &[])?;
            let (numbers, images) = (answer.singles(), answer.number("images")? as usize);
            if images == 0 || numbers.len() != images * (dim + num_classes) {
                return Err(unexpected("features and logits"));
            }
            let (features, logits) = numbers.split_at(images * dim);
            extracted.features.extend_from_slice(features);
            extracted.logits.extend_from_slice(logits);
            done += images;
            if progress(images).is_break() {
                return Err(Error::Interrupted);
            }
        }
        Ok(())
    }

    fn classifier(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let specs = self.blueprint.classifier.tensors().into_iter();
        let specs = specs.map(|spec| (spec.name, spec.shape)).collect();
        let mut tensors = self.tensors("classifier", specs)?;
        match (tensors.pop(), tensors.pop()) {
            (Some(bias), Some(weight)) => Ok((weight.data, bias.data)),
            _ => Err(unexpected("the classifier")),
        }
    }

    fn potentials(&self) -> Result<Option<HeadPotentials>> {
        let Some(potentials) = &self.potentials else {
            return Ok(None);
        };
        let (now, _) = divided(&self.state()?);
        let mut potentials = potentials.borrow_mut();
        potentials.load(What::Values, &now)?;
        potentials.head().map(Some)
    }

    fn state(&self) -> Result<Vec<NamedTensor>> {
        self.tensors("state", self.with_potentials(self.blueprint.tensors()))
    }

    fn load_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let (of_potentials, of_network) = divided(tensors);
        let mut sorted = self.blueprint.sorted(&of_network)?;
        let of_potentials = self.or_own(What::Values, of_potentials, || self.state())?;
        sorted.extend(&of_potentials);
        self.send("load_state", &sorted)
    }

    fn optimiser_state(&self) -> Result<Vec<NamedTensor>> {
        self.tensors("velocities", self.trained())
    }

    fn load_optimiser_state(&mut self, tensors: &[NamedTensor]) -> Result<()> {
        let (of_potentials, of_network) = divided(tensors);
        let mut sorted = self.blueprint.sorted_trained(&of_network)?;
        let of_potentials = self.or_own(What::Velocities, of_potentials, || Ok(Vec::new()))?;
        sorted.extend(&of_potentials);
        self.send("load_velocities", &sorted)
    }
}

/// A tensor's name and shape.
type Shaped = (String, Vec<usize>);

fn num_elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// What the process makes of potentials: parameters, and the sets that they belong to.
fn described(potentials: &LearnedPotentials) -> Value {
    let tensors = potentials.tensors(What::Values).into_iter();
    let tensors = tensors.map(|own| json!({ "name": own.name, "shape": own.shape }));
    json!({
        "tensors": tensors.collect::<Vec<_>>(),
        "learns_multiplicities": potentials.learns_multiplicities(),
        "sets": potentials.seen_sets(),
    })
}

/// Whether the process speaks this protocol and is of this version.
fn expect_partner(greeting: &Answer) -> Result<()> {
    let (version, protocol) = (greeting.text("tagwise")?, greeting.number("protocol")?);
    let own = env!("CARGO_PKG_VERSION");
    match (version, protocol) == (own, PROTOCOL) {
        true => Ok(()),
        false => Err(Error::Torch(format!(
            "expected the Python package tagwise {own} with protocol {PROTOCOL}, found {version} with \
             {protocol}; install the command and the package together"
        ))),
    }
}

/// How bytes become what the network takes.
fn scale(images: &ImageSet) -> Value {
    let (mean, std) = match images {
        ImageSet::Composed(_) => (&[][..], &[][..]),
        ImageSet::Stored(images) => {
            let Normalisation { mean, std } = images.normalisation();
            (mean.as_slice(), std.as_slice())
        }
    };
    json!({ "white": images.white(), "mean": mean, "std": std })
}

fn objective(objective: &super::Objective) -> Value {
    json!({
        "loss": objective.loss,
        "feature_decay": objective.feature_decay,
        "feature_decay_reduction": objective.feature_decay_reduction,
    })
}
