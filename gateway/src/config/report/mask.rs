//! Keeps secrets out of reports: a mistake may stand on the very line into which somebody
//! pasted a key, and reports end up in terminals, logs and build servers.

use std::borrow::Cow;

/// What stands in place of a secret.
const MASK: &str = "***";

/// Beginnings of words that are secrets wherever they stand: keys and signing secrets of the
/// provider (<https://docs.stripe.com/keys>), restricted keys included.
const SECRET_WORDS: [&str; 5] = ["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"];

/// Parts of key names whose values are secrets, unless the key names where the secret is.
const SECRET_KEYS: [&str; 7] = [
    "token",
    "secret",
    "password",
    "redis_url",
    "rabbitmq_url",
    "postgres_url",
    "api_key",
];

/// Whether `word` is a secret by its looks.
pub(crate) fn looks_secret(word: &str) -> bool {
    SECRET_WORDS.iter().any(|start| word.contains(start))
}

fn holds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let named = key.ends_with("_env") || key.ends_with("_file");
    !named && SECRET_KEYS.iter().any(|part| key.contains(part))
}

/// A line of the file, fit to be shown.
pub(super) fn line(line: &str) -> Cow<'_, str> {
    let Some((key, value)) = line.split_once('=') else {
        return words(line);
    };
    if holds_secret(key.trim()) && !value.trim().is_empty() {
        return Cow::Owned(format!("{key}= {MASK}"));
    }
    words(line)
}

/// The value of a variable or flag, fit to be shown.
pub(super) fn override_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let key = name.rsplit("__").next().unwrap_or(name);
    let key = key.rsplit('.').next().unwrap_or(key);
    if holds_secret(key) {
        Cow::Borrowed(MASK)
    } else {
        words(value)
    }
}

/// Masks words that look like secrets, and passwords in addresses.
fn words(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    for start in SECRET_WORDS {
        while let Some(at) = shown.find(start) {
            let end = shown[at..]
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(shown.len(), |n| at + n);
            shown = Cow::Owned(format!("{}{MASK}{}", &shown[..at], &shown[end..]));
        }
    }
    without_passwords(shown)
}

/// Masks what stands between `://` and `@` in an address.
fn without_passwords(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut shown = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + "://".len());
        shown.push_str(head);
        let end = tail
            .find(|c: char| c.is_whitespace() || "/\"',".contains(c))
            .unwrap_or(tail.len());
        rest = match tail[..end].rfind('@') {
            Some(at) => {
                shown.push_str(MASK);
                &tail[at..]
            }
            None => tail,
        };
    }
    if shown.is_empty() {
        return text;
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::{line, override_value};

    #[test]
    fn a_pasted_secret_is_not_shown() {
        assert_eq!(line("secret_key = \"abc\""), "secret_key = ***");
        assert_eq!(
            line("token_env = \"sk_live_51abc\" # mine"),
            "token_env = \"***\" # mine"
        );
        assert_eq!(
            line("url = \"http://user:pw@shop:80\""),
            "url = \"http://***@shop:80\""
        );
        assert_eq!(
            line("hosts = [\"a://b\", \"c@d\", 'e://f:g@h/i@j']"),
            "hosts = [\"a://b\", \"c@d\", 'e://***@h/i@j']"
        );
        assert_eq!(override_value("DOORLINE__ADMIN__TOKEN", "hunter2"), "***");
        assert_eq!(override_value("--set admin.token", "hunter2"), "***");
    }

    #[test]
    fn ordinary_lines_are_shown_whole() {
        assert_eq!(line("token_env = \"NAME\""), "token_env = \"NAME\"");
        assert_eq!(line("[payment]"), "[payment]");
        assert_eq!(override_value("DOORLINE__SERVER__LISTEN", "x"), "x");
    }
}
