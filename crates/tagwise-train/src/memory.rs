//! The memory of a run, known before it starts.

use serde::Serialize;
use tagwise_nn::{Device, MemoryEstimate, NetworkSpec, memory_estimate};

use crate::{DataSets, Error, Experiment, Result};

/// Bytes that a run takes, by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RunMemory {
    /// Weights, their gradients and velocities, activations and workspace of one batch.
    pub network: MemoryEstimate,
    /// Source images and the plan of what is composed of them.
    pub data: u64,
    /// Features and logits of all three data sets, and the statistics of the training set.
    pub measuring: u64,
    /// Weights and velocities once more, for the checkpoint that is being written.
    pub saving: u64,
}

impl RunMemory {
    /// The memory of training and measuring this network on these data.
    ///
    /// # Errors
    /// [`Error::Engine`] when no such network exists.
    pub fn new(
        experiment: &Experiment,
        data: &DataSets,
        spec: &NetworkSpec,
        device: Device,
    ) -> Result<Self> {
        let batch = experiment
            .training
            .batch_size
            .max(experiment.evaluation.batch_size);
        Ok(Self {
            network: memory_estimate(spec, batch, device)?,
            ..Self::beside_device(data, spec)?
        })
    }

    /// The memory of a run beside a device that has its own, and keeps the network.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn beside_device(data: &DataSets, spec: &NetworkSpec) -> Result<Self> {
        let sets = [&data.train, &data.validation, &data.test];
        let num_images: usize = sets.iter().map(|set| set.len()).sum();
        let (dim, num_classes) = (spec.num_features()?, spec.num_classes);
        let max_multiplicity = data.train.targets().max_multiplicity();
        // Logits, and their gradient for the mean loss; a d×d scatter matrix per multiplicity and
        // the few that decompositions need beside it.
        let outputs = num_images * (dim + 2 * num_classes) * size_of::<f32>();
        let scatters = dim * dim * (max_multiplicity + 4) * size_of::<f64>();
        Ok(Self {
            network: MemoryEstimate::default(),
            data: sets.iter().map(|set| set.num_bytes() as u64).sum(),
            measuring: (outputs + scatters) as u64,
            saving: 2 * (spec.num_trainable()? * size_of::<f32>()) as u64,
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.network.total() + self.data + self.measuring + self.saving
    }

    /// Refuses a run for which the machine has no memory; does nothing where that is not known.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn expect_room(&self, experiment: &Experiment) -> Result<()> {
        match available() {
            Some(available) if self.total() > available => Err(Error::Memory {
                needed: gigabytes(self.total()),
                available: gigabytes(available),
                network: gigabytes(self.network.total()),
                batch_size: experiment.training.batch_size,
                evaluation_batch_size: experiment.evaluation.batch_size,
            }),
            _ => Ok(()),
        }
    }
}

/// Bytes as a person reads them.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let gigabytes = bytes as f64 / 1e9;
    match gigabytes {
        g if g >= 10.0 => format!("{g:.0} GB"),
        g if g >= 0.1 => format!("{g:.1} GB"),
        g => format!("{:.0} MB", (g * 1e3).max(1.0)),
    }
}

/// Bytes that this process can still take: what Linux calls available, or what the control group
/// leaves if that is less. `None` on systems that do not tell by files.
fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = available_in(&read("/proc/meminfo")?)?;
    let group = || {
        let limit: u64 = read("/sys/fs/cgroup/memory.max")?.trim().parse().ok()?;
        let used: u64 = read("/sys/fs/cgroup/memory.current")?.trim().parse().ok()?;
        Some(limit.saturating_sub(used))
    };
    Some(group().map_or(machine, |group| machine.min(group)))
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_the_systems_table() {
        let table = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(available_in(table), Some(8 << 20));
        assert_eq!(available_in("MemTotal: 1 kB"), None);
    }

    #[test]
    fn bytes_read_as_gigabytes_or_megabytes() {
        let words = [3_000_000, 940_000_000, 23_400_000_000].map(gigabytes);
        assert_eq!(words, ["3 MB", "0.9 GB", "23 GB"]);
    }
}
