//! Secrets: found where the file says, never shown, never empty, generated where allowed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use domain::Entropy;

use super::{good, read};
use crate::config::secret::admin::{ADMIN_TOKEN_FILE, admin_token, existing_admin_token};
use crate::config::{Config, Environment, Secret, SecretError, SecretSource};

/// Counts up, so that two draws differ.
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn entropy() -> Counting {
    Counting(std::sync::atomic::AtomicU8::new(1))
}

fn config_in(folder: &Path) -> Config {
    good(&format!(
        "[backend]\ndata_dir = '{}'\n",
        folder.join("data").display()
    ))
}

#[test]
fn a_secret_is_never_printed() {
    let secret = Secret::new("hunter2".to_owned());
    assert_eq!(
        format!("{secret:?} {:?}", Some(&secret)),
        "Secret(redacted) Some(Secret(redacted))"
    );
    let environment = Environment::from_iter([("STRIPE_SECRET_KEY", "hunter2")]);
    assert!(!format!("{environment:?}").contains("hunter2"));
    let printed = read("").expect("good").to_toml(&environment);
    assert!(
        printed.contains("secret_key_env = \"STRIPE_SECRET_KEY\" # set; not shown\n"),
        "{printed}"
    );
    assert!(
        printed.contains("token_env = \"DOORLINE_ADMIN_TOKEN\" # not set\n"),
        "{printed}"
    );
    assert!(!printed.contains("hunter2"));
}

#[test]
fn a_secret_comes_from_the_variable_or_the_file_that_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    fs::write(&path, "  from-file\n").expect("written");
    let environment = Environment::from_iter([("KEY", "from-env"), ("EMPTY", " ")]);
    let read = |source: SecretSource| source.read(&environment);
    let exposed = |source| {
        read(source)
            .expect("readable")
            .map(|secret| secret.expose().to_owned())
    };
    assert_eq!(
        exposed(SecretSource::Env("KEY".into())).as_deref(),
        Some("from-env")
    );
    assert_eq!(
        exposed(SecretSource::File(path.clone())).as_deref(),
        Some("from-file")
    );
    assert_eq!(exposed(SecretSource::Env("OTHER".into())), None);
    assert_eq!(exposed(SecretSource::File(folder.path().join("other"))), None);
    assert!(matches!(
        read(SecretSource::Env("EMPTY".into())),
        Err(SecretError::EmptyVariable { .. })
    ));
    fs::write(&path, "\n").expect("written");
    assert!(matches!(
        read(SecretSource::File(path)),
        Err(SecretError::EmptyFile { .. })
    ));
    assert!(matches!(
        read(SecretSource::File(folder.path().into())),
        Err(SecretError::File { .. })
    ));
    let missing = SecretSource::Env("OTHER".into()).require("Stripe's key", &environment);
    assert_eq!(
        missing.expect_err("missing").to_string(),
        "Stripe's key is not set: set environment variable OTHER"
    );
}

#[test]
fn a_file_that_is_named_wins_over_a_variable_that_is_not() {
    let config = good("[payment]\nsecret_key_file = \"/k\"\n");
    assert_eq!(config.payment.secret_key, SecretSource::File("/k".into()));
    assert_eq!(
        config.payment.webhook_secret,
        SecretSource::Env("STRIPE_WEBHOOK_SECRET".into())
    );
}

#[test]
fn the_admin_token_is_generated_once_and_readable_by_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path());
    let environment = Environment::default();
    let entropy = entropy();
    assert!(
        existing_admin_token(&config, &environment)
            .expect("nothing there")
            .is_none()
    );
    let first = admin_token(&config, &environment, &entropy).expect("generated");
    assert_eq!(first.expose().len(), 64);
    let path = config.backend.data_dir.join(ADMIN_TOKEN_FILE);
    assert_eq!(
        fs::metadata(&path).expect("the file").permissions().mode() & 0o777,
        0o600
    );
    let second = admin_token(&config, &environment, &entropy).expect("found again");
    assert_eq!(first, second);
    let found = existing_admin_token(&config, &environment).expect("readable");
    assert_eq!(found, Some(first), "a command on the same machine finds it");
}

#[test]
fn an_empty_or_short_admin_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path());
    let refused = |token: &str| {
        let environment = Environment::from_iter([("DOORLINE_ADMIN_TOKEN", token)]);
        admin_token(&config, &environment, &entropy()).expect_err("refused")
    };
    assert!(matches!(refused(""), SecretError::EmptyVariable { .. }));
    assert!(matches!(refused("secret"), SecretError::TooShort { .. }));
    assert!(!refused("secret").to_string().contains("secret "));
    let environment = Environment::from_iter([("DOORLINE_ADMIN_TOKEN", "0123456789abcdef")]);
    let token = admin_token(&config, &environment, &entropy()).expect("long enough");
    assert_eq!(token.expose(), "0123456789abcdef");
    assert!(
        !config.backend.data_dir.exists(),
        "nothing is generated where a token is given"
    );
}
