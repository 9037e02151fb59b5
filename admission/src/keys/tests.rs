//! Keys: what is kept, what is refused, what rotation changes, and what is done about keys that others have already.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::shared::{REFRESH_EVERY, SEASONED_AFTER};
use super::*;
use crate::store::Answer;
use crate::store::redis::unavailable;
use crate::testing::{Repeating, at_once};
use crate::visitor::Seen;

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

/// One gateway's way to what all of them share.
#[derive(Clone, Default)]
struct Way {
    generations: Arc<Mutex<Vec<Generation>>>,
    away: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
}

impl Way {
    /// Another gateway's.
    fn beside(&self) -> Self {
        Self {
            generations: self.generations.clone(),
            ..Self::default()
        }
    }

    async fn keys(&self, start: u64) -> Keys {
        Keys::shared(Arc::new(self.clone()), &Repeating::from(start))
            .await
            .unwrap()
    }

    /// Time goes by until what was made signs.
    async fn grow_old(&self) {
        tokio::time::advance(Duration::from_millis(SEASONED_AFTER.as_millis())).await;
        let mut generations = self.generations.lock().unwrap();
        generations.iter_mut().for_each(|one| one.seasoned = true);
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

impl SharedKeys for Way {
    fn identity(&self, _: [u8; 32]) -> Answer<'_, [u8; 32]> {
        Box::pin(async { Ok([7; 32]) })
    }

    fn generations(&self) -> Answer<'_, Vec<Generation>> {
        Box::pin(async move {
            self.looks.fetch_add(1, Ordering::SeqCst);
            if self.away.load(Ordering::SeqCst) {
                return Err(unavailable("taken away by the test"));
            }
            let mut generations = self.generations.lock().unwrap().clone();
            generations.reverse();
            Ok(generations)
        })
    }

    fn add(&self, generation: Generation) -> Answer<'_, ()> {
        Box::pin(async move {
            self.generations.lock().unwrap().push(generation);
            Ok(())
        })
    }
}

/// A house with a rotation behind it.
async fn rotated(way: &Way, start: u64) -> Keys {
    let keys = way.keys(start).await;
    way.grow_old().await;
    keys.rotate(&Repeating::from(start + 50)).await.unwrap();
    way.grow_old().await;
    keys.refresh().await.unwrap();
    keys
}

#[tokio::test(start_paused = true)]
async fn a_visitor_under_a_key_that_was_missed_is_asked_to_wait_and_known_in_a_moment() {
    let house = Way::default();
    let way = house.beside();
    // It has seen the first key, and nothing since.
    house.keys(1).await;
    let behind = way.keys(2).await;
    way.away.store(true, Ordering::SeqCst);
    let keys = rotated(&house, 3).await;
    let visitor = Visitor([7; 16]);
    let cookie = visitor.seal(&keys);
    let before = way.looks();
    for _ in 0..50 {
        assert_eq!(Visitor::seen(&cookie, &behind), Seen::NotYet);
        assert_eq!(Visitor::check(&cookie, &behind), None);
        tokio::task::yield_now().await;
    }
    assert_eq!(way.looks(), before + 1, "anybody can show such a cookie");
    way.away.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(1)).await;
    while Visitor::seen(&cookie, &behind) == Seen::NotYet {
        tokio::task::yield_now().await;
    }
    assert_eq!(Visitor::seen(&cookie, &behind), Seen::Visitor(visitor, None));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_has_names_nobody_to_whoever_has_looked() {
    let (house, stranger) = (Way::default(), Way::default());
    let keys = house.keys(1).await;
    let cookie = Visitor([7; 16]).seal(&rotated(&stranger, 100).await);
    keys.refresh().await.unwrap();
    let looks = house.looks();
    tokio::time::advance(REFRESH_EVERY).await;
    assert_eq!(Visitor::seen(&cookie, &keys), Seen::Nobody);
    tokio::time::advance(2 * REFRESH_EVERY).await;
    assert_eq!(Visitor::seen(&cookie, &keys), Seen::NotYet);
    while Visitor::seen(&cookie, &keys) == Seen::NotYet {
        tokio::task::yield_now().await;
    }
    assert_eq!(Visitor::seen(&cookie, &keys), Seen::Nobody);
    assert_eq!(house.looks(), looks + 1);
}

#[tokio::test(start_paused = true)]
async fn keys_that_have_not_changed_stay_where_they_are() {
    let house = Way::default();
    let keys = house.keys(1).await;
    let ring = keys.ring_now();
    keys.refresh().await.unwrap();
    assert!(keys.is_now(&ring), "what was checked with them counts on");
    house.grow_old().await;
    keys.rotate(&Repeating::from(2)).await.unwrap();
    assert!(!keys.is_now(&ring));
}

#[test]
fn only_the_next_two_generations_may_follow() {
    let generation = |number: u32, seasoned| Generation {
        number,
        seal: [1; 32],
        signer: [1; 32],
        seasoned,
    };
    // The newest does not sign yet; and the names begin anew.
    let young = [generation(3, false), generation(2, true), generation(1, true)];
    let wrapped = [generation(256, true), generation(255, true)];
    for (generations, follow) in [(&young[..], [4, 5]), (&wrapped[..], [1, 2])] {
        let ring = shared::ring(generations).unwrap();
        let may_follow: Vec<u8> = (0..=u8::MAX).filter(|kid| ring.may_follow(*kid)).collect();
        assert_eq!(may_follow, follow);
    }
}
