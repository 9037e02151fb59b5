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

/// Bytes that mean themselves wherever they stand; looked up, because every path is scanned.
const PLAIN: [bool; 256] = plain();

const fn plain() -> [bool; 256] {
    let mut table = [false; 256];
    let bytes = b"abcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@";
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] = true;
        i += 1;
    }
    table
}

/// Scans `path` once. Says [`Shape::Other`] whenever in doubt.
pub(super) fn shape(path: &[u8]) -> Shape {
    if path.first() != Some(&b'/') {
        return Shape::Other;
    }
    let mut shape = Shape::OwnKey;
    let mut previous = 0;
    for (i, &byte) in path.iter().enumerate() {
        if PLAIN[usize::from(byte)] {
            previous = byte;
            continue;
        }
        match byte {
            b'/' if previous == b'/' => return Shape::Other,
            b'/' if previous == b'.' => shape = Shape::Normal,
            b'.' if previous == b'/' && is_dots(&path[i..]) => return Shape::Other,
            b'A'..=b'Z' => shape = Shape::Normal,
            b'/' | b'.' => {}
            _ => return Shape::Other,
        }
        previous = byte;
    }
    if previous == b'.' { Shape::Normal } else { shape }
}

/// Whether the segment that `rest` begins with consists of dots.
fn is_dots(rest: &[u8]) -> bool {
    rest.iter()
        .take_while(|byte| **byte != b'/')
        .all(|byte| *byte == b'.')
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
