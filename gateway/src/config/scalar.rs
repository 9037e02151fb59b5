//! Reads single values: from what was written to what it means, or a sentence that says
//! what should stand there instead.

mod address;

use domain::{Currency, DropId, Sku, Span};
use toml::value::Datetime;

use super::duration;
use super::moment::Moment;
use super::nearest::nearest;
use super::report::looks_secret;
use super::schema::Kind;
use super::tree::Raw;
use super::value::Value;

/// Reads a value of `kind`; lists and tables are read by their owner.
pub(crate) fn read(kind: &Kind, raw: &Raw) -> Result<Value, String> {
    match kind {
        Kind::Text(chars_max) => line_of_text(text(raw, "text")?, *chars_max),
        Kind::DropId => named(raw, |name| DropId::new(name).map(drop)),
        Kind::Sku => named(raw, |name| Sku::new(name).map(drop)),
        Kind::Currency => named(raw, |name| Currency::new(name).map(drop)),
        Kind::SecretVariable => variable(text(raw, "the name of an environment variable")?),
        Kind::SecretFile | Kind::File => file(text(raw, "a path")?),
        Kind::Host => address::host(text(raw, "a host name")?),
        Kind::Count(min, max) => count(raw, *min, *max).map(Value::Count),
        Kind::OneNumberOf(numbers) => one_number_of(raw, numbers),
        Kind::OneOf(words) => one_of(raw, words),
        Kind::Flag => flag(raw),
        Kind::Duration(min, max) => duration(raw, Span::from_millis(*min), Span::from_millis(*max)),
        Kind::Rate => text(raw, "a rate such as \"20/s\"")?
            .parse()
            .map(Value::Rate)
            .map_err(sentence),
        Kind::Moment => moment(raw),
        Kind::Address => address::listener(text(raw, "an address and port such as \"127.0.0.1:8080\"")?),
        Kind::Url => address::url(text(raw, "an address such as \"http://127.0.0.1:3000\"")?),
        Kind::Endpoint => address::endpoint(text(raw, "an address such as \"https://shop.example/events\"")?),
        Kind::Network => address::network(text(raw, "a network such as \"10.0.0.0/8\"")?),
        Kind::PathPattern => text(raw, "a path such as \"/drops/aurora\"")?
            .parse()
            .map(Value::Pattern)
            .map_err(sentence),
        Kind::List(_) | Kind::Table(_) | Kind::Tables(_) => unreachable!("read by the checker"),
    }
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn text<'a>(raw: &'a Raw, wanted: &str) -> Result<&'a str, String> {
    let Raw::Text(text) = raw else {
        return Err(format!(
            "{wanted} is expected here, in quotes; this is {}",
            raw.describe()
        ));
    };
    Ok(text)
}

fn line_of_text(text: &str, chars_max: usize) -> Result<Value, String> {
    if text.trim().is_empty() {
        Err("this text is empty: leave out the key instead".to_owned())
    } else if text.chars().any(char::is_control) {
        Err("this text holds line breaks or control characters".to_owned())
    } else if text.chars().count() > chars_max {
        Err(format!("this text is longer than {chars_max} characters"))
    } else {
        Ok(Value::Text(text.to_owned()))
    }
}

fn named<E: std::fmt::Display>(raw: &Raw, check: impl Fn(&str) -> Result<(), E>) -> Result<Value, String> {
    let name = text(raw, "a name")?;
    check(name).map_err(sentence)?;
    Ok(Value::Text(name.to_owned()))
}

fn variable(name: &str) -> Result<Value, String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if looks_secret(name) {
        Err(
            "this is the secret itself: put it into an environment variable and write its name here"
                .to_owned(),
        )
    } else if !name.starts_with(first) || !name.chars().all(rest) {
        Err(
            "the name of an environment variable is letters, digits and _, not beginning with a digit"
                .to_owned(),
        )
    } else {
        Ok(Value::Text(name.to_owned()))
    }
}

fn file(path: &str) -> Result<Value, String> {
    if path.trim().is_empty() || path.contains('\0') {
        return Err("a path is expected here".to_owned());
    }
    Ok(Value::Text(path.to_owned()))
}

fn count(raw: &Raw, min: u64, max: u64) -> Result<u64, String> {
    let Raw::Integer { digits, radix } = raw else {
        return Err(match raw {
            Raw::Text(text) if text.trim().parse::<u64>().is_ok() => {
                format!("a number stands without quotes: {}", text.trim())
            }
            _ => format!("a whole number is expected here; this is {}", raw.describe()),
        });
    };
    match u64::from_str_radix(digits, *radix) {
        Ok(count) if count < min => Err(format!("this must be at least {min}")),
        Ok(count) if count <= max => Ok(count),
        Err(_) if digits.starts_with('-') => Err(format!("this must be at least {min}")),
        Ok(_) | Err(_) => Err(format!("this must be at most {max}")),
    }
}

fn one_number_of(raw: &Raw, numbers: &[u64]) -> Result<Value, String> {
    let number = count(raw, 0, u64::MAX)?;
    if numbers.contains(&number) {
        return Ok(Value::Count(number));
    }
    let choices: Vec<String> = numbers.iter().map(u64::to_string).collect();
    Err(format!("this must be one of {}", choices.join(", ")))
}

fn one_of(raw: &Raw, words: &[&str]) -> Result<Value, String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let choices = quoted.join(", ");
    let word = text(raw, &format!("one of {choices}"))?;
    if words.contains(&word) {
        return Ok(Value::Text(word.to_owned()));
    }
    let hint =
        nearest(word, words.iter().copied()).map_or_else(String::new, |n| format!("; did you mean \"{n}\"?"));
    Err(format!("this must be one of {choices}{hint}"))
}

fn flag(raw: &Raw) -> Result<Value, String> {
    match raw {
        Raw::Flag(flag) => Ok(Value::Flag(*flag)),
        Raw::Text(word) if word == "true" || word == "false" => Err(format!("{word} stands without quotes")),
        _ => Err(format!(
            "true or false is expected here; this is {}",
            raw.describe()
        )),
    }
}

fn duration(raw: &Raw, min: Span, max: Span) -> Result<Value, String> {
    if let Raw::Integer { digits, .. } = raw {
        return Err(duration::InvalidDuration::NoUnit(digits.clone()).to_string());
    }
    let span = duration::parse_duration(text(raw, "a length of time such as \"10m\"")?).map_err(sentence)?;
    if span < min {
        Err(format!(
            "this must be at least {}",
            duration::format_duration(min)
        ))
    } else if span > max {
        Err(format!("this must be at most {}", duration::format_duration(max)))
    } else {
        Ok(Value::Duration(span))
    }
}

fn moment(raw: &Raw) -> Result<Value, String> {
    let moment: Result<Moment, _> = match raw {
        Raw::Datetime(datetime) => native(datetime)?.parse(),
        Raw::Text(_) | Raw::Integer { .. } | Raw::Float(_) | Raw::Flag(_) | Raw::List(_) | Raw::Table(_) => {
            text(raw, "an instant such as \"2026-11-27T10:00:00[Europe/Berlin]\"")?.parse()
        }
    };
    moment
        .map(|moment| Value::Moment(Box::new(moment)))
        .map_err(sentence)
}

/// TOML has instants of its own, but no zones: with an offset they are as good as text.
fn native(datetime: &Datetime) -> Result<String, String> {
    match (datetime.date, datetime.offset) {
        (Some(_), Some(_)) => Ok(datetime.to_string()),
        (Some(_), None) if datetime.time.is_some() => Err(format!(
            "an offset or a zone is missing: write {datetime}+01:00, or in quotes \"{datetime}[Europe/Berlin]\""
        )),
        (Some(_), None) => Err(format!(
            "a time of day is missing: write \"{datetime}T10:00:00[Europe/Berlin]\""
        )),
        (None, _) => Err("a date is missing: write \"2026-11-27T10:00:00[Europe/Berlin]\"".to_owned()),
    }
}
