//! Notes the git revision that the program is built from, so that every run folder can name it.

use std::process::Command;

fn main() {
    let revision = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_string(), |text| text.trim().to_string());
    println!("cargo::rustc-env=TAGWISE_GIT_REVISION={revision}");
    if let Some(folder) = Command::new("git")
        .args(["rev-parse", "--absolute-git-dir"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
    {
        println!("cargo::rerun-if-changed={}/HEAD", folder.trim());
        println!("cargo::rerun-if-changed={}/index", folder.trim());
    }
    println!("cargo::rerun-if-changed=build.rs");
}
