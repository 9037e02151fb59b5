//! Notices to be told, as columns hold them: what the telling's words and numbers mean in every SQL ledger.

use domain::saga::Notice;
use domain::{DropId, OrderId};

use crate::ledger::{DueNotice, Next, OrderRecord, Telling, Untold};

use super::{Corrupt, instant, whole};

/// What every list of notices reads, in the order of [`TellingRow`]'s members.
pub(crate) struct TellingRow {
    pub(crate) id: i64,
    pub(crate) order: OrderId,
    pub(crate) notice: String,
    pub(crate) version: i64,
    pub(crate) at: i64,
    pub(crate) tries: i64,
}

/// A row of the operators' list.
pub(crate) struct UntoldRow {
    pub(crate) of: TellingRow,
    pub(crate) drop: String,
    pub(crate) due_at: i64,
    pub(crate) outcome: Option<String>,
}

impl TellingRow {
    /// Checks every column and joins them with the order.
    pub(crate) fn into_due(self, order: OrderRecord) -> Result<DueNotice, Corrupt> {
        Ok(DueNotice {
            id: self.id,
            notice: self.notice()?,
            version: whole(self.order, "message's version", self.version)?,
            at: instant(self.order, "message", self.at)?,
            tries: whole(self.order, "count of tries to tell", self.tries)?,
            order,
        })
    }

    fn notice(&self) -> Result<Notice, Corrupt> {
        Notice::named(&self.notice).ok_or_else(|| Corrupt {
            order: self.order,
            what: format!("its notice is {:?}", self.notice),
        })
    }
}

impl UntoldRow {
    /// Checks every column.
    pub(crate) fn into_untold(self, telling: Telling) -> Result<Untold, Corrupt> {
        let order = self.of.order;
        Ok(Untold {
            order,
            drop: DropId::new(&self.drop).map_err(|e| Corrupt {
                order,
                what: e.to_string(),
            })?,
            notice: self.of.notice()?,
            version: whole(order, "message's version", self.of.version)?,
            at: instant(order, "message", self.of.at)?,
            telling,
            tries: whole(order, "count of tries to tell", self.of.tries)?,
            due_at: instant(order, "next try to tell", self.due_at)?,
            outcome: self.outcome,
        })
    }
}

/// The word in the column for what follows from a try.
pub(crate) const fn hook_word(next: Next) -> &'static str {
    match next {
        Next::Taken => "taken",
        Next::Again(_) => "open",
        Next::GivenUp => "given_up",
        Next::Skipped => "skipped",
    }
}

/// The word in the column for where the telling stands.
pub(crate) const fn telling_word(telling: Telling) -> &'static str {
    match telling {
        Telling::Pending => "open",
        Telling::GivenUp => "given_up",
    }
}
