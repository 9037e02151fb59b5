//! Keys on disk: what is kept, what is refused, what rotation changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::{Repeating, at_once};

fn open(dir: &Path, start: u64) -> Result<Keys, KeyError> {
    Keys::open(dir, &Repeating::from(start))
}

fn file_error(opened: Result<Keys, KeyError>) -> KeyFileError {
    match opened {
        Err(KeyError::File(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the keys were taken"),
    }
}

fn kids(keys: &Keys) -> Vec<String> {
    keys.ring().signers().map(|signer| signer.kid.clone()).collect()
}

#[test]
fn keys_are_made_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path(), 1).unwrap(), open(dir.path(), 2).unwrap());
    assert_eq!(first.jwks(), second.jwks());
    let drop = DropId::new("aurora").unwrap();
    let visitor = Visitor([1; 16]);
    assert_eq!(first.shopper(&drop, &visitor), second.shopper(&drop, &visitor));
}

#[test]
fn key_files_are_readable_by_us_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 1).unwrap();
    for entry in fs::read_dir(dir.path().join("keys")).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 1).unwrap();
    let path = dir.path().join("keys/identity.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = file_error(open(dir.path(), 1));
    assert_eq!(error.path, path);
    assert!(error.reason.contains("chmod 600"));
}

#[test]
fn a_damaged_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 1).unwrap();
    for (file, reason) in [("signer-1.pk8", "PKCS#8"), ("seal-1.key", "32 bytes")] {
        let path = dir.path().join("keys").join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..20]).unwrap();
        let error = file_error(open(dir.path(), 1));
        assert!(error.path == path && error.reason.contains(reason), "{error}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn rotation_keeps_one_generation_for_checking_and_removes_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path(), 1).unwrap();
    let first = kids(&keys);
    at_once(keys.rotate(&Repeating::from(50))).unwrap();
    let second = kids(&keys);
    assert_eq!((second.len(), &second[1]), (2, &first[0]));
    at_once(keys.rotate(&Repeating::from(60))).unwrap();
    let third = kids(&keys);
    assert_eq!((third.len(), &third[1]), (2, &second[0]));
    assert_eq!(kids(&open(dir.path(), 9).unwrap()), third);
    assert!(!dir.path().join("keys/signer-1.pk8").exists());
}

#[test]
fn a_generation_that_was_cut_off_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path(), 1).unwrap();
    let seal = dir.path().join("keys/seal-1.key");
    fs::copy(seal, dir.path().join("keys/seal-2.key")).unwrap();
    assert_eq!(kids(&open(dir.path(), 3).unwrap()), kids(&keys));
}

#[test]
fn names_differ_by_drop_visitor_number_and_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path(), 1).unwrap();
    let (a, b) = (DropId::new("a").unwrap(), DropId::new("b").unwrap());
    let (me, you) = (Visitor([1; 16]), Visitor([2; 16]));
    let mine = keys.shopper(&a, &me);
    assert_ne!(mine, keys.shopper(&b, &me));
    assert_ne!(mine, keys.shopper(&a, &you));
    let id = keys.admission(&a, mine, Number(1), 1);
    assert_eq!(id, keys.admission(&a, mine, Number(1), 1));
    assert_ne!(id, keys.admission(&a, mine, Number(2), 1));
    assert_ne!(id, keys.admission(&a, mine, Number(1), 2));
    assert_ne!(id, keys.admission(&b, mine, Number(1), 1));
}
