//! Instants as merchants write them: a date, a time, and an offset or a zone.
//!
//! A time without either is refused rather than guessed: a drop that opens an hour early or
//! late because of the server's zone is the worst kind of surprise.

use std::fmt;
use std::str::FromStr;

use domain::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, Pieces, PiecesOffset};
use jiff::tz::{Disambiguation, TimeZone};

/// An instant that remembers the zone it was written in, for pages that show it.
#[derive(Clone, PartialEq, Debug)]
pub struct Moment {
    zoned: jiff::Zoned,
    at: Timestamp,
}

/// The text does not name one instant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidMoment {
    /// Not a date and time at all.
    #[error(
        "an instant is written as a date, a time, and an offset or a zone, such as \
         \"2026-11-27T10:00:00+01:00\" or \"2026-11-27T10:00:00[Europe/Berlin]\""
    )]
    Form,
    /// A date alone.
    #[error("a time of day is missing: write \"{0}T10:00:00[Europe/Berlin]\"")]
    NoTime(String),
    /// Neither offset nor zone.
    #[error(
        "an offset or a zone is missing, so this could be any of 26 hours: write \
         \"{0}+01:00\" or \"{0}[Europe/Berlin]\""
    )]
    NoZone(String),
    /// The zone is not in the time zone database.
    #[error("there is no time zone `{zone}`{}", suggestion(.nearest.as_deref()))]
    UnknownZone {
        /// What was written.
        zone: String,
        /// The name that comes closest.
        nearest: Option<String>,
    },
    /// The clocks skip or repeat this time on that day.
    #[error("in {0} the clocks change at that time, so it comes twice or never: add the offset you mean")]
    Ambiguous(String),
    /// Offset and zone disagree.
    #[error("the offset is not the one that {0} has at that time: leave one of them out")]
    Conflict(String),
    /// Before the year 1970.
    #[error("an instant before 1970 is surely a slip of the pen")]
    TooEarly,
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl Moment {
    /// The instant itself.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The instant in the zone it was written in.
    pub const fn zoned(&self) -> &jiff::Zoned {
        &self.zoned
    }

    fn from_zoned(zoned: jiff::Zoned) -> Result<Self, InvalidMoment> {
        let millis =
            u64::try_from(zoned.timestamp().as_millisecond()).map_err(|_| InvalidMoment::TooEarly)?;
        Ok(Self {
            zoned,
            at: Timestamp::from_millis(millis),
        })
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        let pieces = PARSER.parse_pieces(text).map_err(|_| InvalidMoment::Form)?;
        let time = pieces
            .time()
            .ok_or_else(|| InvalidMoment::NoTime(pieces.date().to_string()))?;
        let civil = pieces.date().to_datetime(time);
        let offset = pieces.offset().map(|offset| match offset {
            PiecesOffset::Numeric(numeric) => numeric.offset(),
            PiecesOffset::Zulu | _ => jiff::tz::Offset::UTC,
        });
        let zone = named_zone(&pieces)?;
        let zoned = match (zone, offset) {
            (None, None) => return Err(InvalidMoment::NoZone(civil.to_string())),
            (None, Some(offset)) => civil
                .to_zoned(TimeZone::fixed(offset))
                .map_err(|_| InvalidMoment::Form)?,
            (Some((name, zone)), None) => zone
                .into_ambiguous_zoned(civil)
                .disambiguate(Disambiguation::Reject)
                .map_err(|_| InvalidMoment::Ambiguous(name))?,
            (Some((name, zone)), Some(offset)) => {
                let at = offset.to_timestamp(civil).map_err(|_| InvalidMoment::Form)?;
                let zoned = at.to_zoned(zone);
                if zoned.offset() != offset {
                    return Err(InvalidMoment::Conflict(name));
                }
                zoned
            }
        };
        Self::from_zoned(zoned)
    }
}

/// Resolves the zone in brackets, if there is one.
fn named_zone(pieces: &Pieces<'_>) -> Result<Option<(String, TimeZone)>, InvalidMoment> {
    let Some(annotation) = pieces.time_zone_annotation() else {
        return Ok(None);
    };
    let name = annotation_name(pieces);
    let Ok(zone) = annotation.to_time_zone() else {
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let nearest = super::nearest::nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(InvalidMoment::UnknownZone { zone: name, nearest });
    };
    Ok(Some((name, zone)))
}

fn annotation_name(pieces: &Pieces<'_>) -> String {
    use jiff::fmt::temporal::TimeZoneAnnotationKind::{Named, Offset};
    match pieces
        .time_zone_annotation()
        .map(jiff::fmt::temporal::TimeZoneAnnotation::kind)
    {
        Some(Named(name)) => name.as_str().to_owned(),
        Some(Offset(offset)) => offset.to_string(),
        Some(_) | None => String::new(),
    }
}

/// Writes the instant so that it reads back the same: `2026-11-27T10:00:00+01:00[Europe/Berlin]`,
/// or without the bracket where it was written with an offset only.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let datetime = self.zoned.datetime();
        match self.zoned.time_zone().iana_name() {
            Some("UTC") => write!(f, "{datetime}Z"),
            Some(_) => write!(f, "{}", self.zoned),
            None => write!(f, "{datetime}{}", self.zoned.offset()),
        }
    }
}
