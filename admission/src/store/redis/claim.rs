//! Claiming: a called shopper turns up, is written down, and is told to be in.
//!
//! The keys count a claim from when it was asked for, and the promise is about when it is answered: in
//! between lies the durable record, which may take its time, and an answer may be lost and be asked for
//! again. So an admission whose answer is late is stamped anew before it leaves.

use domain::queue::{Claim, Claimant, MemberState, Moment, RETRY_MAX, RETRY_MIN, RETURN_SLACK};
use domain::returning::RETURNING_MAX;
use domain::sessions::Session;
use domain::window::{ANSWERED_WITHIN, HELD};
use domain::{AdmissionId, DropId, Span, Timestamp};

use super::marks::{Era, Row};
use super::reply::nonsense;
use super::shelf::{Known, Shelf, member_of};
use super::shopper::ticket_words;
use super::{RedisStore, Words, lost, unavailable};
use crate::store::Unavailable;
use crate::store::asked::Asked;

/// How often a stamp that has become too old is set again: a server that takes longer each time is as good as away.
const STAMPS_MAX: u32 = 3;

/// An admission that the keys have granted.
#[derive(Clone, Copy)]
struct Granted {
    era: Era,
    admission: AdmissionId,
    session: Session,
    /// Whether they had done so before.
    repeated: bool,
}

impl RedisStore {
    pub(super) async fn claim_place(
        &self,
        drop: &DropId,
        claimant: Claimant,
        at: Moment,
    ) -> Result<Claim, Unavailable> {
        let asked = Asked::at(at);
        let shelf = self.shelf(drop)?;
        let words = |known: &Known| {
            ticket_words(known, &claimant)
                .bytes(&claimant.admission.0)
                .number(HELD.as_millis())
                .number(RETURNING_MAX as u64)
                .number(RETRY_MIN.as_millis())
                .number(RETRY_MAX.as_millis())
                .number(RETURN_SLACK.as_millis())
        };
        let mut done = self.run(&shelf, &self.scripts.claim, at, words).await?;
        let rank = done.known.rank(claimant.number, claimant.drawn);
        let kind = done.reply.text()?;
        match kind.as_str() {
            "admitted" | "again" => {
                let admission = AdmissionId(done.reply.id()?);
                let session = Session {
                    shopper: claimant.shopper,
                    number: claimant.number,
                    expires_at: done.reply.time()?,
                    claimed_at: done.reply.time()?,
                    has_decided: false,
                };
                let granted = Granted {
                    era: done.era,
                    admission,
                    session,
                    repeated: kind == "again",
                };
                if granted.repeated {
                    return self.admit_again(&shelf, granted, &claimant, asked).await;
                }
                self.owed.insert((drop.clone(), admission), ());
                self.admit(&shelf, granted, &claimant).await?;
                self.answer(&shelf, granted, asked).await
            }
            "not_called" => {
                let (frontier, waiting) = (done.reply.rank()?, done.reply.number()?);
                let method = shelf.rules().method;
                let position = domain::queue::position(method, rank, frontier, waiting);
                Ok(Claim::NotCalled { position })
            }
            "room_full" => Ok(Claim::RoomFull {
                retry_after: Span::from_millis(done.reply.number()?),
            }),
            word => refusal(word),
        }
    }

    /// Writes an admission down; it may be answered then.
    async fn admit(&self, shelf: &Shelf, granted: Granted, claimant: &Claimant) -> Result<(), Unavailable> {
        let (shopper, member) = member_of(claimant, MemberState::Inside(granted.admission));
        let rows = vec![
            Row::Member(shopper, member),
            Row::Session(granted.admission, granted.session),
        ];
        self.write(shelf, granted.era, rows).await
    }

    /// A claim that was granted before. If it never got as far as the durable record its answer
    /// never left, perhaps long ago: then it is let in now and not then, and counts from now.
    async fn admit_again(
        &self,
        shelf: &Shelf,
        mut granted: Granted,
        claimant: &Claimant,
        asked: Asked,
    ) -> Result<Claim, Unavailable> {
        let admission = granted.admission;
        if self.answered.contains_key(&(shelf.drop.clone(), admission)) {
            return Ok(admitted(granted));
        }
        // The record may know it from an era that is over; the keys just said that it runs.
        if !self.marks.knows(&shelf.drop, admission).await? {
            let at = asked.moment();
            if !self.stamp_again(shelf, granted, at).await? {
                return Ok(room_full());
            }
            granted.session.claimed_at = granted.session.claimed_at.max(at.now);
            self.admit(shelf, granted, claimant).await?;
            // The first commit may have come through after all, with the first stamp.
            shelf.write_later([Row::Stamped(admission, granted.session.claimed_at)]);
        }
        self.answer(shelf, granted, asked).await
    }

    /// An admission that is written down is answered. If it has become late since its stamp it is counted anew, and
    /// that follows into the record; where this cannot be done it is not answered and may be asked for again.
    async fn answer(&self, shelf: &Shelf, granted: Granted, asked: Asked) -> Result<Claim, Unavailable> {
        let name = (shelf.drop.clone(), granted.admission);
        let is_owed = self.owed.contains_key(&name);
        let mut stamped = granted.session.claimed_at;
        for _ in 0..STAMPS_MAX {
            let at = asked.moment();
            // Who may well have been answered is not turned away for a minute that is long over.
            let is_over = !is_owed && stamped + HELD <= at.now;
            if is_over || stamped + ANSWERED_WITHIN >= at.now {
                self.owed.invalidate(&name);
                self.answered.insert(name, ());
                return Ok(admitted(granted));
            }
            if !self.stamp_again(shelf, granted, at).await? {
                return Ok(room_full());
            }
            stamped = at.now;
            shelf.write_later([Row::Stamped(granted.admission, stamped)]);
        }
        Err(unavailable("Redis is too slow to say when somebody was let in"))
    }

    /// Counts an admission from `at` on, in the keys. Whether there was room for it; if not, its turn is kept.
    async fn stamp_again(&self, shelf: &Shelf, granted: Granted, at: Moment) -> Result<bool, Unavailable> {
        let words = |_: &Known| restamp_words().bytes(&granted.admission.0).text("");
        let mut done = self.run(shelf, &self.scripts.restamp, at, words).await?;
        if done.era != granted.era {
            return Err(lost());
        }
        match done.reply.list()?.text()?.as_str() {
            "stamped" => Ok(true),
            "full" => Ok(false),
            _ => Err(nonsense()),
        }
    }

    /// Counts admissions from when they were answered, in keys that were written by somebody who could not know it:
    /// that they are counted later than they were asked for is still to be written down here.
    pub(super) async fn count_answered(
        &self,
        shelf: &Shelf,
        answered: &[(AdmissionId, Timestamp)],
        at: Moment,
    ) -> Result<(), Unavailable> {
        let words = |_: &Known| {
            let answered = answered.iter();
            answered.fold(restamp_words(), |words, (admission, answered_at)| {
                words.bytes(&admission.0).number(answered_at.as_millis())
            })
        };
        self.run(shelf, &self.scripts.restamp, at, words)
            .await
            .map(|_| ())
    }
}

/// What counting anew is told besides the admissions: see `scripts/restamp.lua`.
fn restamp_words() -> Words {
    Words::default()
        .number(HELD.as_millis())
        .number((RETRY_MAX + RETURN_SLACK).as_millis())
        .number(RETURNING_MAX as u64)
}

/// Asked for again it may be let in, and counts from then; for as long as the page is told to wait, and a little
/// more, it goes before anybody of a higher rank.
fn room_full() -> Claim {
    Claim::RoomFull {
        retry_after: RETRY_MAX,
    }
}

fn admitted(granted: Granted) -> Claim {
    Claim::Admitted {
        admission: granted.admission,
        expires_at: granted.session.expires_at,
        repeated: granted.repeated,
    }
}

fn refusal(word: &str) -> Result<Claim, Unavailable> {
    Ok(match word {
        "lapsed" => Claim::Lapsed,
        "left" => Claim::Left,
        "finished" => Claim::Finished,
        "paused" => Claim::Paused,
        "not_open" => Claim::NotOpen,
        "sold_out" => Claim::SoldOut,
        "ended" => Claim::Ended,
        _ => return Err(nonsense()),
    })
}
