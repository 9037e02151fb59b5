//! The rules of the house that no lint knows: which package may know which, how long a
//! file may get, and what must not be found anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file beyond this cannot be proofread in one sitting.
const FILE_LINES_MAX: usize = 500;
/// Tests in the file that they test, beyond which they move to a file of their own.
const INLINE_TEST_LINES_MAX: usize = 100;
/// The program itself only begins: what it does lies in the library.
const MAIN_LINES_MAX: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
        .to_path_buf()
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !matches!(
                name.as_str(),
                "target" | "node_modules" | ".git" | "doorline-data"
            ) {
                files_below(&path, found);
            }
        } else if name != ".git" {
            // In a linked worktree `.git` is a file that names a folder of this machine.
            found.push(path);
        }
    }
}

/// Every text file of the project with its path relative to the root.
fn tree() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files_below(&root(), &mut paths);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        Some((
            path.strip_prefix(root()).ok()?.to_string_lossy().into_owned(),
            text,
        ))
    };
    paths.into_iter().filter_map(read).collect()
}

fn sources() -> Vec<(String, String)> {
    tree()
        .into_iter()
        .filter(|(path, _)| Path::new(path).extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The names in a manifest's `[dependencies]`, without those for tests.
fn dependencies(package: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest is TOML");
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table.map(|t| t.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn packages_know_each_other_in_one_direction_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("domain", &[][..]),
        ("sandbox", &[][..]),
        ("admission", &["domain"][..]),
        ("checkout-worker", &["domain"][..]),
        (
            "gateway",
            &["admission", "checkout-worker", "domain", "sandbox"][..],
        ),
    ]);
    for (package, friends) in &allowed {
        for known in dependencies(package)
            .iter()
            .filter(|name| allowed.contains_key(name.as_str()))
        {
            assert!(
                friends.contains(&known.as_str()),
                "{package} must not know {known}"
            );
        }
    }
}

#[test]
fn the_domain_depends_on_nothing_that_acts() {
    let harmless = BTreeSet::from(["sha2", "siphasher", "thiserror"].map(String::from));
    assert!(
        dependencies("domain").is_subset(&harmless),
        "the domain has a new dependency"
    );
    let lib = fs::read_to_string(root().join("domain/src/lib.rs")).expect("the domain");
    assert!(
        lib.contains("#![no_std]"),
        "the compiler keeps the domain from acting only under no_std"
    );
}

#[test]
fn libraries_serve_no_http_and_only_what_calls_the_outside_speaks_it() {
    for package in ["admission", "checkout-worker"] {
        for server in ["hyper", "hyper-util", "axum", "http", "tower", "tower-http"] {
            assert!(
                !dependencies(package).contains(server),
                "{package} must not know {server}"
            );
        }
    }
    assert!(
        !dependencies("admission").contains("reqwest"),
        "admission calls nobody"
    );
    for (path, text) in sources()
        .iter()
        .filter(|(path, _)| path.starts_with("checkout-worker/src/"))
    {
        // Two systems are called: who takes the money, and the merchant's own, which is told what became of orders.
        let homes = ["checkout-worker/src/provider", "checkout-worker/src/merchant"];
        let speaks = text.contains("reqwest::");
        assert!(
            !speaks || homes.iter().any(|home| path.starts_with(home)),
            "{path} must not speak HTTP"
        );
    }
}

#[test]
fn only_adapters_touch_the_database() {
    for (path, text) in sources().iter().filter(|(path, _)| path.contains("/src/")) {
        let adapters = [
            ("rusqlite::", ["sqlite", "admission/src/store/embedded"]),
            ("sqlx::", ["postgres", "postgres"]),
            (
                "redis::",
                ["admission/src/store/redis", "sandbox/src/engine/redis"],
            ),
        ];
        for (library, homes) in adapters {
            // Our own modules of that name, `store::redis::` and `engine::redis::`, are no library.
            let touches = text.match_indices(library).any(|(at, _)| {
                !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == ':')
            });
            let adapter = homes.iter().any(|home| path.contains(home));
            assert!(!touches || adapter, "{path} must not touch {library}");
        }
    }
}

/// The words that follow any of `before` in SQL.
fn named_after<'a>(text: &'a str, before: &[&str]) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    let mut words = text.split_whitespace();
    let mut found = BTreeSet::new();
    while let Some(word) = words.next() {
        if before.contains(&word.trim_start_matches(['"', '('])) {
            let name = words.clone().next().unwrap_or_default();
            let name = name.trim_matches(|c| !is_name(c));
            found.insert(name.rsplit_once('.').map_or(name, |(_, table)| table));
        }
    }
    found
}

#[test]
fn nobody_reads_anothers_tables() {
    let files = tree();
    let owned_by = |package: &'static str| {
        files
            .iter()
            .filter(move |(path, _)| path.starts_with(package) && !path.contains("test"))
    };
    let tables = |package| -> BTreeSet<&str> {
        owned_by(package)
            .flat_map(|(_, text)| named_after(text, &["TABLE"]))
            .filter(|name| !name.is_empty())
            .collect()
    };
    for (package, other) in [
        ("admission/", "checkout-worker/"),
        ("checkout-worker/", "admission/"),
    ] {
        let (own, theirs) = (tables(package), tables(other));
        assert!(own.len() > 3, "{package} has tables: {own:?}");
        for (path, text) in owned_by(package) {
            let touched = named_after(text, &["FROM", "INTO", "JOIN", "UPDATE"]);
            let foreign: Vec<_> = touched
                .intersection(&theirs)
                .filter(|name| !own.contains(*name))
                .collect();
            assert!(foreign.is_empty(), "{path} touches {foreign:?} of {other}");
        }
    }
}

#[test]
fn the_mode_is_configuration_and_never_a_feature() {
    for package in ["domain", "admission", "checkout-worker", "sandbox", "gateway"] {
        let text = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        assert!(!manifest.contains_key("features"), "{package} comes in one form");
    }
}

#[test]
fn only_the_rabbitmq_adapter_speaks_amqp() {
    for (path, text) in sources().iter().filter(|(path, _)| path.contains("/src/")) {
        let speaks = text.contains("lapin::") || text.contains("async_rs::");
        let adapter = path.starts_with("checkout-worker/src/broker/rabbitmq");
        assert!(!speaks || adapter, "{path} must not speak AMQP");
    }
}

#[test]
fn only_assembly_names_concrete_adapters() {
    for (path, text) in sources()
        .iter()
        .filter(|(path, _)| path.starts_with("gateway/src/"))
    {
        for adapter in [
            "SqliteLedger",
            "PostgresLedger",
            "EmbeddedStore",
            "RedisStore",
            "PostgresMarks",
            "stripe::Stripe",
            "StandardWebhook",
            "EmbeddedBroker",
            "RabbitMqBroker",
        ] {
            assert!(
                !text.contains(adapter) || path.starts_with("gateway/src/assembly"),
                "{path} names {adapter}"
            );
        }
    }
}

#[test]
fn domain_types_are_never_serialized() {
    for (path, text) in sources()
        .iter()
        .filter(|(path, _)| path.starts_with("domain/src/"))
    {
        assert!(!text.contains("serde"), "{path} must not know serialization");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_fits_one_sitting() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{path} has {lines} lines: split it by idea"
        );
        assert!(!path.ends_with("/mod.rs"), "{path}: write foo.rs beside foo/");
        let inline = text
            .split_once("#[cfg(test)]\nmod tests {")
            .map_or(0, |(_, inside)| inside.lines().count());
        assert!(
            inline <= INLINE_TEST_LINES_MAX,
            "{path}: its tests deserve a file of their own"
        );
        assert!(
            !path.ends_with("src/main.rs") || lines <= MAIN_LINES_MAX,
            "{path} does more than begin"
        );
        let header = text.starts_with("//!") || text.starts_with("#![doc");
        assert!(header, "{path} must begin by saying what it is for");
    }
}

#[test]
fn nothing_is_left_over_and_names_mean_something() {
    // The needles are put together here so that this file does not find itself.
    let needles = [
        ["#[ig", "nore"],
        ["#[al", "low("],
        ["tod", "o!("],
        ["unimple", "mented!("],
        ["FIX", "ME"],
    ];
    for (path, text) in sources() {
        for needle in needles.map(|halves| halves.concat()) {
            assert!(!text.contains(&needle), "{path} holds {needle}");
        }
        let stem = Path::new(&path)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        assert!(
            !["utils", "util", "common", "helpers", "manager"].contains(&stem.as_str()),
            "{path} says nothing"
        );
    }
}

#[test]
fn there_is_one_clippy_toml_and_no_trace_of_one_machine() {
    let all = tree();
    let lints = all
        .iter()
        .filter(|(path, _)| path.ends_with("clippy.toml"))
        .count();
    assert_eq!(
        lints, 1,
        "a second clippy.toml would replace the first, not add to it"
    );
    let homes = [["/ro", "ot/"], ["/ho", "me/"], ["/wo", "rk/"]].map(|halves| halves.concat());
    for (path, text) in all.iter().filter(|(path, _)| !path.ends_with("Cargo.lock")) {
        for home in &homes {
            assert!(
                !text.contains(home.as_str()),
                "{path} names a folder of one machine"
            );
        }
    }
}

#[test]
fn test_code_keeps_pace_with_the_source() {
    // Hundredths of the source: 80 in all, and 120 where the rules are. The other floors are ratchets, to be
    // raised when a package has risen. The adapters for Redis, RabbitMQ and Postgres are held by suites that
    // run over every adapter, which count only once.
    let floors = [
        ("domain", 150),
        ("admission", 75),
        ("checkout-worker", 72),
        ("gateway", 82),
        ("sandbox", 75),
    ];
    let (mut source_in_all, mut tests_in_all) = (0_usize, 0_usize);
    for (package, floor) in floors {
        let (mut source, mut tests) = (0_usize, 0_usize);
        for (path, text) in sources()
            .iter()
            .filter(|(path, _)| path.starts_with(&format!("{package}/")))
        {
            let count = |part: &str| part.lines().filter(|line| !line.trim().is_empty()).count();
            let inline = text
                .split_once("#[cfg(test)]\nmod tests {")
                .map_or(0, |(_, inside)| count(inside));
            let is_test = !path.contains("/src/") || path.contains("tests") || path.contains("contract");
            if is_test {
                tests += count(text);
            } else {
                tests += inline;
                source += count(text).saturating_sub(inline);
            }
        }
        assert!(
            tests * 100 >= source * floor,
            "{package}: {tests} lines of tests for {source} of source"
        );
        source_in_all += source;
        tests_in_all += tests;
    }
    assert!(
        tests_in_all * 100 >= source_in_all * 80,
        "{tests_in_all} lines of tests for {source_in_all} of source"
    );
}
