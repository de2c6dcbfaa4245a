//! Speed of every shape of convolution in a network beside the peak of this machine, as a table.
//!
//! `cargo bench -p tagwise-nn --bench layers -- [--json] [--precision bf16] resnet18:56x56x1:32 [NAME:HxWxC:BATCH ...]`

use tagwise_nn::{Device, LayerRate, Precision, layer_rates, peak_rate};

mod case;
use case::Case;

const STEPS: usize = 5;

fn main() {
    let (mut names, mut wants_json, mut precision) = (Vec::new(), false, Precision::F32);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => wants_json = true,
            "--precision" => precision = case::precision(arguments.next().as_deref()),
            "--bench" => {} // which `cargo bench` adds
            _ => names.push(argument),
        }
    }
    if names.is_empty() {
        names.push("resnet18:56x56x1:32".to_owned());
    }
    for name in &names {
        if let Err(problem) = run(name, precision, wants_json) {
            eprintln!("{name}: {problem}; {}", case::EXPECTED);
            std::process::exit(2);
        }
    }
}

fn run(
    name: &str,
    precision: Precision,
    wants_json: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let case = Case::parse(name)?;
    let device = Device::cpu()?.with_precision(precision);
    let peak = peak_rate(device);
    let rates = layer_rates(&case.spec, case.batch, STEPS, device)?;
    if wants_json {
        let answer = serde_json::json!({ "network": name, "device": device.to_string(),
            "threads": rayon::current_num_threads(), "peak_gflops": peak, "layers": rates });
        println!("{answer}");
        return Ok(());
    }
    println!(
        "{name}, {device}, {} threads, peak {peak:.0} GFLOP/s\n",
        rayon::current_num_threads()
    );
    println!(
        "| layer | of this shape | input | output, kernel, stride | GFLOP | forward | data gradient | weight gradient | of the peak |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for rate in &rates {
        let [height, width, channels] = rate.input;
        let [out, kernel, stride] = rate.output;
        let data_gradient = rate
            .data_gradient
            .map_or("–".to_owned(), |rate| format!("{rate:.0}"));
        println!(
            "| {} | {} | {height}×{width}×{channels} | {out}, {kernel}×{kernel}, {stride} | {:.2} | {:.0} | {data_gradient} | {:.0} | {:.0} % |",
            rate.name,
            rate.count,
            rate.gflop,
            rate.forward,
            rate.weight_gradient,
            100.0 * total(std::slice::from_ref(rate)) / peak,
        );
    }
    println!(
        "\nall convolutions of a step: {:.0} GFLOP/s, {:.0} % of the peak",
        total(&rates),
        100.0 * total(&rates) / peak
    );
    Ok(())
}

/// Operations over time, all three kernels of all layers together.
fn total(rates: &[LayerRate]) -> f64 {
    let (mut work, mut seconds) = (0.0, 0.0);
    for rate in rates {
        let speeds = [
            Some(rate.forward),
            rate.data_gradient,
            Some(rate.weight_gradient),
        ];
        for speed in speeds.into_iter().flatten() {
            let gflop = rate.count as f64 * rate.gflop;
            work += gflop;
            seconds += gflop / speed;
        }
    }
    work / seconds
}
