//! Checked values: what a scalar of the file means, once its kind is known.

use std::net::SocketAddr;

use domain::Span;
use http::Uri;
use ipnet::IpNet;

use super::duration;
use super::fields::Fields;
use super::moment::Moment;
use super::report::Place;
use crate::edge::limits::Rate;
use crate::edge::path::Pattern;

/// A value of the right kind and in range.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    /// Text, a word out of several, a name or a path in the file system.
    Text(String),
    Count(u64),
    Flag(bool),
    Duration(Span),
    Rate(Rate),
    Moment(Box<Moment>),
    Address(SocketAddr),
    Url(Uri),
    Network(IpNet),
    Pattern(Pattern),
    List(Vec<(Place, Self)>),
    Table(Fields),
    Tables(Vec<Fields>),
}

/// A type that can be taken out of a [`Value`].
pub(crate) trait FromValue: Sized {
    /// Takes it, or nothing where the value is of another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident => $type:ty),* $(,)?) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::$variant(inner) = value { Some(inner.clone().into()) } else { None }
            }
        }
    )*};
}
from_value! {
    Text => String, Count => u64, Flag => bool, Duration => Span, Rate => Rate, Address => SocketAddr,
    Url => Uri, Network => IpNet, Pattern => Pattern,
}

impl FromValue for Moment {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Moment(moment) = value {
            Some(Self::clone(moment))
        } else {
            None
        }
    }
}

macro_rules! from_count {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::Count(count) = value { Self::try_from(*count).ok() } else { None }
            }
        }
    )*};
}
from_count!(u16, u32);

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Option<Self> {
        let Value::List(items) = value else { return None };
        items.iter().map(|(_, item)| T::from_value(item)).collect()
    }
}

impl Value {
    /// Writes it as TOML on one line. Tables that stand on their own are written by their owner.
    pub(crate) fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Duration(span) => quoted(&duration::format_duration(*span)),
            Self::Rate(rate) => quoted(&rate.to_string()),
            Self::Moment(moment) => quoted(&moment.to_string()),
            Self::Address(address) => quoted(&address.to_string()),
            // A slash that nobody wrote is not shown; one that ends a path belongs to it.
            Self::Url(url) if url.path_and_query().is_none_or(|path| path == "/") => {
                quoted(url.to_string().trim_end_matches('/'))
            }
            Self::Url(url) => quoted(&url.to_string()),
            Self::Network(network) => quoted(&network.to_string()),
            Self::Pattern(pattern) => quoted(&pattern.to_string()),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|(_, item)| item.to_toml()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(fields) => {
                let inner = fields
                    .values()
                    .map(|(name, value)| format!("{name} = {}", value.to_toml()));
                format!("{{ {} }}", inner.collect::<Vec<_>>().join(", "))
            }
            Self::Tables(_) => unreachable!("repeated tables are written one by one"),
        }
    }
}

/// Text as a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
