//! What shoppers do once they have a place: turn up, stay, leave. And what ends their stay.

use domain::queue::{Claim, Claimant, MemberState, Moment, RETRY_MAX, RETRY_MIN, RETURN_SLACK, TOKEN_LEEWAY};
use domain::returning::RETURNING_MAX;
use domain::sessions::Session;
use domain::window::HELD;
use domain::{AdmissionId, DropId, Span, Timestamp};

use super::marks::{Era, Row};
use super::reply::nonsense;
use super::shelf::{Known, Shelf, member_of};
use super::{RedisStore, Words, lost, moment};
use crate::store::Unavailable;

impl RedisStore {
    pub(super) async fn claim_place(
        &self,
        drop: &DropId,
        claimant: Claimant,
        at: Moment,
    ) -> Result<Claim, Unavailable> {
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
                let claimant = Claimant {
                    admission,
                    ..claimant
                };
                if kind == "again" {
                    return self.admit_again(&shelf, done.era, claimant, session, at).await;
                }
                self.admit(&shelf, done.era, &claimant, session).await?;
                Ok(admitted(admission, session, false))
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
    async fn admit(
        &self,
        shelf: &Shelf,
        era: Era,
        claimant: &Claimant,
        session: Session,
    ) -> Result<(), Unavailable> {
        let (shopper, member) = member_of(claimant, MemberState::Inside(claimant.admission));
        let rows = vec![
            Row::Member(shopper, member),
            Row::Session(claimant.admission, session),
        ];
        self.write(shelf, era, rows).await?;
        self.written.insert((shelf.drop.clone(), claimant.admission), ());
        Ok(())
    }

    /// Whether an admission is written down.
    async fn is_written(&self, shelf: &Shelf, admission: AdmissionId) -> Result<bool, Unavailable> {
        let name = (shelf.drop.clone(), admission);
        if self.written.contains_key(&name) {
            return Ok(true);
        }
        let known = self.marks.knows(&shelf.drop, admission).await?;
        if known {
            self.written.insert(name, ());
        }
        Ok(known)
    }

    /// A claim that was granted before. If it never got as far as the durable record its answer
    /// never left, perhaps long ago: then it is let in now and not then, and counts from now.
    async fn admit_again(
        &self,
        shelf: &Shelf,
        era: Era,
        claimant: Claimant,
        session: Session,
        at: Moment,
    ) -> Result<Claim, Unavailable> {
        let admission = claimant.admission;
        if self.is_written(shelf, admission).await? {
            // The record may know it from an era that is over; the keys just said that it runs.
            return Ok(admitted(admission, session, true));
        }
        let words = |_: &Known| Words::default().number(HELD.as_millis());
        let mut done = self.run(shelf, &self.scripts.stamp, at, words).await?;
        if done.era != era {
            return Err(lost());
        }
        match done.reply.text()?.as_str() {
            "stamped" => {
                let claimed_at = session.claimed_at.max(at.now);
                self.admit(
                    shelf,
                    era,
                    &claimant,
                    Session {
                        claimed_at,
                        ..session
                    },
                )
                .await?;
                Ok(admitted(admission, session, true))
            }
            "full" => Ok(Claim::RoomFull {
                retry_after: RETRY_MAX,
            }),
            _ => Err(nonsense()),
        }
    }

    pub(super) async fn give_up(
        &self,
        drop: &DropId,
        claimant: Claimant,
        at: Moment,
    ) -> Result<(), Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |known: &Known| ticket_words(known, &claimant).number(TOKEN_LEEWAY.as_millis());
        let mut done = self.run(&shelf, &self.scripts.leave, at, words).await?;
        if done.reply.text()? == "nothing" {
            return Ok(());
        }
        let (shopper, member) = member_of(&claimant, MemberState::Left);
        let mut rows = vec![Row::Member(shopper, member)];
        if let (Some(admission), Some(until)) = (done.reply.id_if_any()?, done.reply.number_if_any()?) {
            rows.push(Row::Over(
                AdmissionId(admission),
                Some(Timestamp::from_millis(until)),
            ));
        }
        self.write_surely(&shelf, done.era, rows).await
    }

    pub(super) async fn renew_all(
        &self,
        drop: &DropId,
        admissions: Vec<AdmissionId>,
        now: Timestamp,
    ) -> Result<Vec<Option<Timestamp>>, Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |_: &Known| {
            let words = admissions.iter();
            words.fold(Words::default(), |words, admission| words.bytes(&admission.0))
        };
        let mut done = self.run(&shelf, &self.scripts.renew, moment(now), words).await?;
        let mut list = done.reply.list()?;
        let mut expiries = Vec::with_capacity(admissions.len());
        for _ in &admissions {
            expiries.push(list.number_if_any()?.map(Timestamp::from_millis));
        }
        let rows: Vec<Row> = admissions
            .iter()
            .zip(&expiries)
            .filter_map(|(admission, expires_at)| Some(Row::Extended(*admission, (*expires_at)?)))
            .collect();
        if !rows.is_empty() {
            self.write_surely(&shelf, done.era, rows).await?;
        }
        Ok(expiries)
    }

    /// Ends a session or notes its order, as `why` says: see `scripts/end_session.lua`.
    pub(super) async fn end(
        &self,
        drop: &DropId,
        admission: AdmissionId,
        why: &'static str,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |_: &Known| {
            let words = Words::default().bytes(&admission.0).text(why);
            words.number(TOKEN_LEEWAY.as_millis())
        };
        let mut done = self
            .run(&shelf, &self.scripts.end_session, moment(now), words)
            .await?;
        let row = match done.reply.text()?.as_str() {
            "over" => Row::Over(admission, Some(done.reply.time()?)),
            "ordered" => Row::Ordered(admission),
            "nothing" => return Ok(()),
            _ => return Err(nonsense()),
        };
        self.write_surely(&shelf, done.era, vec![row]).await
    }
}

fn admitted(admission: AdmissionId, session: Session, repeated: bool) -> Claim {
    Claim::Admitted {
        admission,
        expires_at: session.expires_at,
        repeated,
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

fn ticket_words(known: &Known, claimant: &Claimant) -> Words {
    Words::default()
        .bytes(&claimant.shopper.0)
        .number(claimant.number.0)
        .number_if_any(claimant.drawn.map(|rank| rank.0))
        .number(claimant.joined_at.as_millis())
        .number(known.rank(claimant.number, claimant.drawn).0)
}
