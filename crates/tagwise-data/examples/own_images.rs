//! Writes a folder of drawings with their table of labels, to try `data.source = "folder"` on.
//!
//! ```text
//! cargo run --release -p tagwise-data --example own_images FOLDER [IMAGES]
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LABELS: [&str; 3] = ["bar", "cross", "disc"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("expected a folder to write to")?);
    let num_images: usize = match arguments.next() {
        Some(number) => number.to_string_lossy().parse()?,
        None => 240,
    };
    fs::create_dir_all(&folder)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut table = "file,labels\n".to_string();
    for index in 0..num_images {
        // Of the sets of one and two labels, one after the other.
        let labels = [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]][index % 6];
        let name = format!("drawing-{index:04}.png");
        draw(&folder.join(&name), labels, &mut rng)?;
        let names: Vec<&str> = labels.iter().map(|&label| LABELS[label]).collect();
        table += &format!("{name},{}\n", names.join(";"));
    }
    fs::write(folder.join("labels.csv"), table)?;
    println!("{num_images} drawings in {}", folder.display());
    Ok(())
}

/// Draws every label in a colour of its own on a canvas of any size.
fn draw(
    path: &Path,
    labels: &[usize],
    rng: &mut ChaCha8Rng,
) -> Result<(), Box<dyn std::error::Error>> {
    let (width, height) = (
        rng.random_range(40..160usize),
        rng.random_range(40..160usize),
    );
    let background: [u8; 3] = std::array::from_fn(|_| rng.random_range(0..80));
    let mut pixels: Vec<u8> = background.repeat(width * height);
    let turn = rng.random_range(0..2);
    for (place, &label) in labels.iter().enumerate() {
        let color: [u8; 3] = std::array::from_fn(|_| rng.random_range(130..=255));
        // The left or the right half, and a radius that fits into it.
        let x = (width as f64 * (1.0 + 2.0 * ((place + turn) % 2) as f64)) / 4.0;
        let y = height as f64 * rng.random_range(0.35..0.65);
        let radius = (width as f64 / 4.0).min(height as f64 / 3.0) * rng.random_range(0.6..1.0);
        for (index, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let dx = ((index % width) as f64 - x) / radius;
            let dy = ((index / width) as f64 - y) / radius;
            if is_inside(label, dx, dy) {
                *pixel = color;
            }
        }
    }
    let mut encoder = png::Encoder::new(File::create(path)?, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

/// Whether a point is inside a shape of radius 1 around the origin.
fn is_inside(label: usize, x: f64, y: f64) -> bool {
    let (x, y) = (x.abs(), y.abs());
    match LABELS[label] {
        "bar" => x <= 1.0 && y <= 0.3,
        "cross" => x.max(y) <= 0.9 && (x - y).abs() <= 0.25,
        _ => x * x + y * y <= 0.7,
    }
}
