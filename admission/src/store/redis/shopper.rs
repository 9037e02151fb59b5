//! What shoppers do once they are in, or instead of it: stay, leave. And what ends their stay.

use domain::queue::{Claimant, MemberState, Moment, TOKEN_LEEWAY};
use domain::{AdmissionId, DropId, Timestamp};

use super::marks::Row;
use super::reply::nonsense;
use super::shelf::{Known, member_of};
use super::{RedisStore, Words, moment};
use crate::store::Unavailable;

impl RedisStore {
    pub(super) async fn give_up(
        &self,
        drop: &DropId,
        claimant: Claimant,
        at: Moment,
    ) -> Result<(), Unavailable> {
        let shelf = self.shelf(drop)?;
        let words = |known: &Known| leave_words(known, &claimant);
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

/// What `scripts/leave.lua` is told.
pub(super) fn leave_words(known: &Known, claimant: &Claimant) -> Words {
    let words = ticket_words(known, claimant).number(TOKEN_LEEWAY.as_millis());
    words.bytes(&claimant.admission.0)
}

/// The place on a ticket as scripts read it.
pub(super) fn ticket_words(known: &Known, claimant: &Claimant) -> Words {
    Words::default()
        .bytes(&claimant.shopper.0)
        .number(claimant.number.0)
        .number_if_any(claimant.drawn.map(|rank| rank.0))
        .number(claimant.joined_at.as_millis())
        .number(known.rank(claimant.number, claimant.drawn).0)
}
