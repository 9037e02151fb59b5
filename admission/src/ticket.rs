//! The ticket: a shopper's place in one drop's queue, sealed and kept by the browser. The store
//! may forget the place; the ticket does not.
//!
//! Layout before base64url, integers in network order: version (1), seal (1), flags (1), epoch
//! (4), number (8), joined (8), then if flagged the drawn rank (8) and the told wait (4 + 4),
//! then the authenticator (16). The shopper it was issued to is not in it but authenticated with
//! it; as shoppers are named per drop, that binds visitor and drop in one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Number, Rank, ShopperKey, Span, Timestamp, Wait};

use crate::keys::{Keys, MAC_BYTES, same};

const VERSION: u8 = 1;
const HAS_RANK: u8 = 1;
const HAS_WAIT: u8 = 2;
const HEAD_BYTES: usize = 23;
const TICKET_BYTES_MAX: usize = HEAD_BYTES + 8 + 8 + MAC_BYTES;
const TICKET_CHARS_MAX: usize = (TICKET_BYTES_MAX * 8).div_ceil(6);

/// What a ticket says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    /// The epoch it was issued in.
    pub(crate) epoch: u32,
    /// Order of joining.
    pub(crate) number: Number,
    /// The rank drawn with the number, where the method draws one per shopper.
    pub(crate) drawn: Option<Rank>,
    /// When the place was taken.
    pub(crate) joined_at: Timestamp,
    /// The wait the shopper was told then, in whole seconds; what estimates are judged by.
    pub(crate) told: Option<Wait>,
}

impl Ticket {
    /// Seals the ticket for `shopper`.
    pub(crate) fn seal(&self, shopper: ShopperKey, keys: &Keys) -> String {
        let ring = keys.ring();
        let seal = ring.newest_seal();
        let mut bytes = Vec::with_capacity(TICKET_BYTES_MAX);
        let flags = if self.drawn.is_some() { HAS_RANK } else { 0 };
        let flags = flags | if self.told.is_some() { HAS_WAIT } else { 0 };
        bytes.extend([VERSION, seal.kid, flags]);
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.number.0.to_be_bytes());
        bytes.extend(self.joined_at.as_millis().to_be_bytes());
        bytes.extend(self.drawn.map(|rank| rank.0.to_be_bytes()).into_iter().flatten());
        if let Some(wait) = self.told {
            bytes.extend(whole_secs(wait.min.as_millis() / 1_000).to_be_bytes());
            bytes.extend(whole_secs(wait.max.as_secs_ceil()).to_be_bytes());
        }
        let mac = seal.ticket_mac(&bytes, &shopper.0);
        bytes.extend(mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The ticket in `text`; none unless we sealed it for `shopper`.
    pub(crate) fn check(text: &str, shopper: ShopperKey, keys: &Keys) -> Option<Self> {
        if text.len() > TICKET_CHARS_MAX {
            return None;
        }
        let mut buffer = [0; TICKET_BYTES_MAX];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok()?;
        let bytes = buffer.get(..length)?;
        let (payload, mac) = bytes.split_at_checked(length.checked_sub(MAC_BYTES)?)?;
        let [version, kid, ..] = *payload else { return None };
        let ring = keys.ring();
        let seal = ring.seal(kid).filter(|_| version == VERSION)?;
        same(mac, &seal.ticket_mac(payload, &shopper.0))
            .then(|| Self::read(payload))
            .flatten()
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let [_version, _seal, flags] = take(&mut rest)?;
        let epoch = u32::from_be_bytes(take(&mut rest)?);
        let number = Number(u64::from_be_bytes(take(&mut rest)?));
        let joined_at = Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?));
        let drawn = match flags & HAS_RANK {
            0 => None,
            _ => Some(Rank(u64::from_be_bytes(take(&mut rest)?))),
        };
        let told = match flags & HAS_WAIT {
            0 => None,
            _ => Some(Wait {
                min: take_secs(&mut rest)?,
                max: take_secs(&mut rest)?,
            }),
        };
        rest.is_empty().then_some(Self {
            epoch,
            number,
            drawn,
            joined_at,
            told,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn take_secs(rest: &mut &[u8]) -> Option<Span> {
    take(rest).map(|secs| Span::from_secs(u64::from(u32::from_be_bytes(secs))))
}

fn whole_secs(secs: u64) -> u32 {
    u32::try_from(secs).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Repeating, at_once};
    use proptest::prelude::*;

    const ME: ShopperKey = ShopperKey([1; 16]);

    fn keys() -> (tempfile::TempDir, Keys) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path(), &Repeating::from(1)).unwrap();
        (dir, keys)
    }

    fn ticket() -> impl Strategy<Value = Ticket> {
        let wait = (any::<u32>(), any::<u32>()).prop_map(|(min, max)| Wait {
            min: Span::from_secs(u64::from(min)),
            max: Span::from_secs(u64::from(max)),
        });
        let parts = (
            any::<u32>(),
            any::<u64>(),
            any::<u64>(),
            any::<Option<u64>>(),
            proptest::option::of(wait),
        );
        parts.prop_map(|(epoch, number, joined, drawn, told)| Ticket {
            epoch,
            number: Number(number),
            drawn: drawn.map(Rank),
            joined_at: Timestamp::from_millis(joined),
            told,
        })
    }

    const PLAIN: Ticket = Ticket {
        epoch: 1,
        number: Number(7),
        drawn: None,
        joined_at: Timestamp::EPOCH,
        told: None,
    };

    #[test]
    fn somebody_elses_ticket_is_worth_nothing() {
        let (_dir, keys) = keys();
        let text = PLAIN.seal(ME, &keys);
        assert_eq!(Ticket::check(&text, ME, &keys), Some(PLAIN));
        assert_eq!(Ticket::check(&text, ShopperKey([2; 16]), &keys), None);
    }

    #[test]
    fn a_visitor_cookie_does_not_pass_for_a_ticket() {
        let (_dir, keys) = keys();
        let cookie = crate::visitor::Visitor([1; 16]).seal(&keys);
        assert_eq!(Ticket::check(&cookie, ME, &keys), None);
    }

    #[test]
    fn tickets_survive_one_rotation() {
        let (_dir, keys) = keys();
        let text = PLAIN.seal(ME, &keys);
        at_once(keys.rotate(&Repeating::from(5))).unwrap();
        assert_eq!(Ticket::check(&text, ME, &keys), Some(PLAIN));
        at_once(keys.rotate(&Repeating::from(6))).unwrap();
        assert_eq!(Ticket::check(&text, ME, &keys), None);
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_read_back(ticket in ticket()) {
            let (_dir, keys) = keys();
            let text = ticket.seal(ME, &keys);
            prop_assert!(text.len() <= TICKET_CHARS_MAX);
            prop_assert_eq!(Ticket::check(&text, ME, &keys), Some(ticket));
        }

        #[test]
        fn no_single_changed_bit_goes_unnoticed(ticket in ticket(), place: proptest::sample::Index, bit in 0u8..8) {
            let (_dir, keys) = keys();
            let mut bytes = URL_SAFE_NO_PAD.decode(ticket.seal(ME, &keys)).unwrap();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Ticket::check(&URL_SAFE_NO_PAD.encode(bytes), ME, &keys), None);
        }

        #[test]
        fn any_text_is_met_with_calm(text in "\\PC{0,100}") {
            let (_dir, keys) = keys();
            prop_assert_eq!(Ticket::check(&text, ME, &keys), None);
        }
    }
}
