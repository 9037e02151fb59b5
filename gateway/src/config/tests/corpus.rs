//! Whole files with many mistakes each: the full report is the snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Environment, parse};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/config/tests")
        .join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let files = files("bad");
    assert!(files.len() >= 12, "the corpus is not where it was");
    for path in files {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        let report = parse("config.toml", &text, &[], &Environment::default()).expect_err(&name);
        for word in ["hunter2", "correct horse", "sk_live_51", "whsec_abc"] {
            assert!(
                !report.to_string().contains(word),
                "{name}: the report shows a secret"
            );
        }
        insta::assert_snapshot!(name, report);
    }
}

#[test]
fn what_is_surely_not_meant_is_a_warning() {
    for path in files("warned") {
        let name = format!("warned_{}", path.file_stem().expect("a name").to_string_lossy());
        let text = fs::read_to_string(&path).expect("a readable file");
        let loaded = parse("config.toml", &text, &[], &Environment::default()).expect("only warnings");
        assert_eq!(loaded.warnings.mistakes(), 0);
        insta::assert_snapshot!(name, loaded.warnings);
    }
}
