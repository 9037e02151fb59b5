//! Finds out which commit is being built, for `doorline --version` and `build_info`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=DOORLINE_COMMIT");
    let commit = std::env::var("DOORLINE_COMMIT").ok().or_else(described);
    println!(
        "cargo:rustc-env=DOORLINE_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
}

/// Asks git; says nothing where the source came without it.
fn described() -> Option<String> {
    // Written at every commit and checkout. A path that does not exist would rebuild every time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists())
    {
        println!("cargo:rerun-if-changed={log}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    git(&["describe", "--always", "--dirty", "--tags", "--abbrev=12"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
