//! Pictures a second, on one thread and on all.
//!
//! `cargo run --release -p ocelli-world --example throughput [SIZE…]`

#![allow(clippy::print_stdout)] // its output is the table it prints

use std::time::Instant;

use ocelli_world::faces::{Canvas, FaceWorld, Studio};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{:>5} {:>22} {:>22} {:>12}",
        "size", "one thread, ms/picture", "with labels, ms/picture", "all threads"
    );
    let mut sizes: Vec<u32> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes = vec![32, 64, 112, 224];
    }
    for size in sizes {
        let world = FaceWorld { canvas: Canvas::aligned(size), ..FaceWorld::default() };
        let n = (40_000 / size) as u64;
        let mut studio = Studio::default();
        world.render_pictures(&[(0, 0)])?;
        let start = Instant::now();
        for i in 0..n {
            std::hint::black_box(studio.render_picture(
                &world.identity(i),
                &world.shot(i, i),
                &world.canvas,
            )?);
        }
        let single = start.elapsed().as_secs_f64() * 1e3 / n as f64;
        let start = Instant::now();
        for i in 0..n {
            std::hint::black_box(studio.render(&world.identity(i), &world.shot(i, i), &world.canvas)?);
        }
        let labelled = start.elapsed().as_secs_f64() * 1e3 / n as f64;
        let pairs: Vec<(u64, u64)> = (0..2 * n).map(|i| (i, i)).collect();
        let start = Instant::now();
        std::hint::black_box(world.render_pictures(&pairs)?);
        let rate = pairs.len() as f64 / start.elapsed().as_secs_f64();
        println!("{size:>5} {single:>22.3} {labelled:>23.3} {rate:>10.0}/s");
    }
    Ok(())
}
