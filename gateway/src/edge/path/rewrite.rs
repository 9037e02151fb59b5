//! Writes a raw path in normal form, and tells cheaply when it is there already.

use super::PathError;

/// How far a raw path is from being its own key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// Normal, and its own key but for a trailing slash.
    OwnKey,
    /// Normal, but its key is written differently.
    Normal,
    /// Anything else.
    Other,
}

/// What a byte is to the scan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Means itself wherever it stands.
    Plain,
    Slash,
    Dot,
    Upper,
    Odd,
}

/// The scan stands behind a slash.
const SLASH: u64 = 0;
/// In a segment, behind anything but a dot.
const NAME: u64 = 1;
/// In a segment that has more than dots, behind a dot.
const DOT: u64 = 2;
/// In a segment that has had only dots so far.
const DOTS: u64 = 3;
/// Behind something that has to be written anew.
const ODD: u64 = 4;
/// Added to a state where the key is written differently.
const DIFFERS: u64 = 5;
const STATES: u64 = 2 * DIFFERS;
/// Bits of a step for each state: as many as hold the place of any other state.
const WIDTH: u64 = 6;
const MASK: u64 = (1 << WIDTH) - 1;

/// For each byte where it leads from each state. Every path is scanned, so a byte costs one look-up and
/// one shift: a state is the place, in these numbers, of the state that follows it.
const STEPS: [u64; 256] = steps();

const fn class(byte: u8) -> Class {
    match byte {
        b'/' => Class::Slash,
        b'.' => Class::Dot,
        b'A'..=b'Z' => Class::Upper,
        b'a'..=b'z'
        | b'0'..=b'9'
        | b'-'
        | b'_'
        | b'~'
        | b'!'
        | b'$'
        | b'&'
        | b'\''
        | b'('
        | b')'
        | b'*'
        | b'+'
        | b','
        | b'='
        | b':'
        | b'@' => Class::Plain,
        _ => Class::Odd,
    }
}

const fn step(state: u64, class: Class) -> u64 {
    let (state, differs) = (state % DIFFERS, state / DIFFERS * DIFFERS);
    match (state, class) {
        (ODD, _) | (_, Class::Odd) => ODD,
        (_, Class::Plain) => NAME + differs,
        (_, Class::Upper) => NAME + DIFFERS,
        (SLASH | DOTS, Class::Dot) => DOTS + differs,
        (_, Class::Dot) => DOT + differs,
        (NAME, Class::Slash) => SLASH + differs,
        (DOT, Class::Slash) => SLASH + DIFFERS,
        (_, Class::Slash) => ODD, // an empty segment, or one of dots
    }
}

const fn steps() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut state = 0;
        while state < STATES {
            #[expect(clippy::cast_possible_truncation, reason = "counted up to 255")]
            let next = step(state, class(byte as u8));
            table[byte] |= (next * WIDTH) << (state * WIDTH);
            state += 1;
        }
        byte += 1;
    }
    table
}

/// Scans `path` once. Says [`Shape::Other`] whenever in doubt.
pub(super) fn shape(path: &[u8]) -> Shape {
    let Some((b'/', rest)) = path.split_first() else {
        return Shape::Other;
    };
    let mut place = SLASH * WIDTH;
    for byte in rest {
        place = (STEPS[usize::from(*byte)] >> place) & MASK;
    }
    match place / WIDTH {
        SLASH | NAME => Shape::OwnKey,
        state if state % DIFFERS == DOTS || state % DIFFERS == ODD => Shape::Other,
        _ => Shape::Normal,
    }
}

/// Writes `path` in normal form.
pub(super) fn normalise(path: &[u8]) -> Result<String, PathError> {
    if path.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    resolve_segments(&decode(path)?)
}

/// Decodes unreserved characters and slashes, writes other escapes in upper case and escapes
/// what RFC 3986 does not allow raw. The result is ASCII.
fn decode(path: &[u8]) -> Result<String, PathError> {
    let mut text = String::with_capacity(path.len() + 8);
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, escaped) = if first == b'%' {
            let (high, low) = (hex(tail.first()), hex(tail.get(1)));
            let (Some(high), Some(low)) = (high, low) else {
                return Err(PathError::BrokenEscape);
            };
            rest = &tail[2..];
            (high << 4 | low, true)
        } else {
            rest = tail;
            (first, false)
        };
        match byte {
            0..=0x1f | 0x7f => return Err(PathError::Control),
            b'\\' => return Err(PathError::Backslash),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
                if !escaped =>
            {
                text.push(char::from(byte));
            }
            _ => push_escape(&mut text, byte),
        }
    }
    // Checked on the decoded text, because `%25%32%65` becomes `%252e` only now.
    let twice = text
        .as_bytes()
        .windows(5)
        .any(|w| w.starts_with(b"%25") && w[3].is_ascii_hexdigit() && w[4].is_ascii_hexdigit());
    if twice {
        Err(PathError::DoubleEscape)
    } else {
        Ok(text)
    }
}

/// Drops empty segments and resolves dot segments; a segment is judged by what stands before
/// its first `;`, because servers that know path parameters drop them before resolving.
fn resolve_segments(text: &str) -> Result<String, PathError> {
    let mut kept: Vec<&str> = Vec::with_capacity(16);
    let mut trailing_slash = false;
    for segment in text.split('/').skip(1) {
        let name = segment.split_once(';').map_or(segment, |(name, _)| name);
        trailing_slash = matches!(name, "" | "." | "..");
        match name {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(PathError::AboveRoot)?;
            }
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(text.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if trailing_slash || kept.is_empty() {
        normal.push('/');
    }
    Ok(normal)
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
}

/// The value of one hexadecimal digit.
pub(super) fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
