//! Taking places: a batch of shoppers in one script, with numbers that were made safe beforehand.

use domain::queue::{Claimant, JoinRefusal, Joined, MemberState, Moment, RANDOM_WIDTH};
use domain::{AdmissionId, DropId, Number, Phase, Rank};

use super::marks::Row;
use super::reply::{Reply, nonsense};
use super::shelf::{Known, Shelf, member_of};
use super::{RedisStore, Words, unavailable};
use crate::store::{JoinRequest, Unavailable};

/// Numbers made safe to give at a time: at ten thousand joins a second ten small commits, and
/// about as many as numbers skip after a loss.
const BLOCK: u64 = 1_024;
/// How often more is made safe for one batch, each time twice as much: the last time 32,768.
const BLOCK_TRIES: u32 = 6;

impl RedisStore {
    pub(super) async fn join_all(
        &self,
        drop: &DropId,
        requests: Vec<JoinRequest>,
        at: Moment,
    ) -> Result<Vec<Result<Joined, JoinRefusal>>, Unavailable> {
        let shelf = self.shelf(drop)?;
        if shelf.is_far_behind() {
            return Err(unavailable("the durable record cannot keep up"));
        }
        // Others may use up what was made safe before it was our turn: then there is to be more.
        for doubled in 0..BLOCK_TRIES {
            let script = &self.scripts.join;
            let mut done = self
                .run(&shelf, script, at, |known| join_words(known, &requests))
                .await?;
            if done.reply.len() == 1 {
                return joined(&shelf, &requests, &mut done.reply.list()?);
            }
            done.reply.text()?;
            let end = Number(done.reply.number()?.saturating_add(BLOCK << doubled));
            let raised = self.marks.raise_numbers(drop, done.era, end).await;
            shelf.heed(done.era, raised)?;
            shelf.note_bound(Some(done.era), end);
        }
        Err(unavailable("numbers run out faster than they are made safe"))
    }
}

fn join_words(known: &Known, requests: &[JoinRequest]) -> Words {
    let words = Words::default().number(known.bound).number(requests.len() as u64);
    requests.iter().fold(words, |words, request| {
        let words = words
            .bytes(&request.shopper.0)
            .number(request.random % RANDOM_WIDTH);
        match request.held.filter(|held| held.shopper == request.shopper) {
            Some(held) => words
                .number(held.number.0)
                .number_if_any(held.drawn.map(|rank| rank.0))
                .number(held.joined_at.as_millis())
                .number(known.rank(held.number, held.drawn).0),
            None => words.text("").text("").text("").text(""),
        }
    })
}

fn joined(
    shelf: &Shelf,
    requests: &[JoinRequest],
    answers: &mut Reply,
) -> Result<Vec<Result<Joined, JoinRefusal>>, Unavailable> {
    let (mut places, mut rows) = (Vec::with_capacity(requests.len()), Vec::new());
    for request in requests {
        let place = place(&mut answers.list()?)?;
        if let Ok(joined) = place {
            // News to the durable record even where it is none to the keys: the first answer may have been
            // lost, and with it the gateway that was to write it down.
            let claimant = Claimant {
                shopper: request.shopper,
                number: joined.number,
                drawn: joined.drawn,
                joined_at: joined.since,
                admission: AdmissionId([0; 16]),
            };
            let (shopper, member) = member_of(&claimant, MemberState::Queued);
            rows.push(Row::Member(shopper, member));
        }
        places.push(place);
    }
    shelf.write_later(rows);
    Ok(places)
}

fn place(answer: &mut Reply) -> Result<Result<Joined, JoinRefusal>, Unavailable> {
    let kind = answer.text()?;
    Ok(match kind.as_str() {
        "new" | "again" => Ok(Joined {
            number: Number(answer.number()?),
            drawn: answer.number_if_any()?.map(Rank),
            since: answer.time()?,
            repeated: kind == "again",
        }),
        "closed" => Err(JoinRefusal::Closed),
        "full" => Err(JoinRefusal::Full),
        "scheduled" => Err(JoinRefusal::NotOpen(Phase::Scheduled)),
        "draining" => Err(JoinRefusal::NotOpen(Phase::Draining)),
        "sold_out" => Err(JoinRefusal::NotOpen(Phase::SoldOut)),
        "ended" => Err(JoinRefusal::NotOpen(Phase::Ended)),
        _ => return Err(nonsense()),
    })
}
