//! Writes every waiting room page and error page as HTML files into the folder given, for looking
//! at them and for the browser tests: `cargo run -p gateway --example page_gallery -- DIR`.

use std::path::PathBuf;
use std::{env, fs, io};

use gateway::room::page::{content_security_policy, error_policy, render, render_error};

#[path = "../tests/browser/samples.rs"]
mod samples;

/// The mock server replaces it in page and policy alike; here it only has to be recognisable.
const NONCE: &str = "Z2FsbGVyeS1ub25jZQ";

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?);
    fs::create_dir_all(&folder)?;
    for (name, view) in samples::rooms() {
        fs::write(folder.join(format!("{name}.html")), render(&view, NONCE))?;
    }
    for (name, view) in samples::errors() {
        fs::write(folder.join(format!("{name}.html")), render_error(&view))?;
    }
    fs::write(folder.join("error_policy.txt"), error_policy())?;
    fs::write(folder.join("policy.txt"), content_security_policy(NONCE))
}
