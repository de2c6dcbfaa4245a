//! Time of whole training steps and evaluation passes, as one JSON line per network.
//!
//! `cargo bench -p tagwise-nn --bench training_step -- [--steps N] [--precision bf16] resnet18:56x56x1:32 [NAME:HxWxC:BATCH ...]`
//!
//! `bench/train.py` runs it beside PyTorch.

use std::time::Instant;

use tagwise_nn::{Device, Network, Precision, Sgd, SgdConfig};

mod case;
use case::Case;

const WARM_UP: usize = 2;
const STEPS: usize = 7;

fn main() {
    let mut wanted = Vec::new();
    let mut steps = STEPS;
    let mut precision = Precision::F32;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--steps" => match arguments.next().map(|count| count.parse()) {
                Some(Ok(count)) if count > 0 => steps = count,
                _ => {
                    eprintln!("--steps: expected a number from 1");
                    std::process::exit(2);
                }
            },
            "--precision" => precision = case::precision(arguments.next().as_deref()),
            "--bench" => {} // which `cargo bench` adds
            _ => wanted.push(argument),
        }
    }
    let default = [
        "small:16x16x1:128",
        "resnet18:56x56x1:32",
        "resnet18:64x64x3:32",
    ];
    let wanted = if wanted.is_empty() {
        default.map(String::from).to_vec()
    } else {
        wanted
    };
    for name in wanted {
        match measure(&name, precision, steps) {
            Ok(line) => println!("{line}"),
            Err(problem) => {
                eprintln!("{name}: {problem}; {}", case::EXPECTED);
                std::process::exit(2);
            }
        }
    }
}

/// Medians of a few steps, in milliseconds.
fn measure(
    name: &str,
    precision: Precision,
    steps: usize,
) -> Result<String, Box<dyn std::error::Error>> {
    let Case { spec, batch } = Case::parse(name)?;
    let device = Device::cpu()?.with_precision(precision);
    let mut network = Network::new(&spec, 0, device)?;
    let mut sgd = Sgd::new(SgdConfig::default(), &network);
    let images: Vec<f32> = (0..batch * spec.input.num_elements())
        .map(|i| ((i * 7919) % 997) as f32 / 997.0)
        .collect();
    let mut train = || -> tagwise_nn::Result<()> {
        network.forward_train(&images, batch)?;
        let gradient: Vec<f32> = network.logits().iter().map(|z| z / batch as f32).collect();
        network.backward(&gradient, None)?;
        sgd.step(&mut network, 1e-3)
    };
    let train_ms = median(steps, &mut train)?;
    let eval_ms = median(steps, &mut || network.forward_eval(&images, batch))?;
    let Device::Cpu(kernels) = device else {
        return Err("this bench is for the processor".into());
    };
    Ok(format!(
        "{{\"network\":\"{name}\",\"kernels\":\"{}\",\"precision\":\"{}\",\"threads\":{},\"train_ms\":{train_ms:.2},\"eval_ms\":{eval_ms:.2},\"images_per_second\":{:.0}}}",
        kernels.set().name(),
        precision.name(),
        rayon::current_num_threads(),
        batch as f64 * 1e3 / train_ms,
    ))
}

fn median(
    steps: usize,
    run: &mut dyn FnMut() -> tagwise_nn::Result<()>,
) -> tagwise_nn::Result<f64> {
    for _ in 0..WARM_UP {
        run()?;
    }
    let mut times = Vec::new();
    for _ in 0..steps {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[steps / 2])
}
