//! Puts the repository's reference cases into the program, so that an installed one can verify itself.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../goldens");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut table = String::from("&[\n");
    for slug in sorted(&root)? {
        for case in sorted(&slug)?.iter().filter(|p| p.extension().is_some_and(|e| e == "safetensors")) {
            let name = |p: &Path| p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let (slug, case_name) = (name(&slug), name(case));
            writeln!(table, "({slug:?}, {case_name:?}, include_bytes!({:?})),", fs::canonicalize(case)?)
                .expect("writing to a string");
        }
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("cases.rs"), table)
}

fn sorted(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}
