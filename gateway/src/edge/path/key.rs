//! The key of a normal path: what the laxest upstream might take it for.

use super::PathError;
use super::rewrite::hex;

/// Writes the key of `normal`: decoded, lower case, without parameters, without trailing dots
/// and spaces in segments (Windows drops them), without empty segments and trailing slash.
pub(super) fn of(normal: &str) -> Result<String, PathError> {
    let bytes = decode(normal.as_bytes());
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let mut key = String::with_capacity(text.len());
    for segment in text.split('/') {
        let segment = segment.split_once(';').map_or(segment, |(name, _)| name);
        let name = segment.trim_end_matches(['.', ' ']);
        if name.is_empty() {
            if segment.is_empty() {
                continue;
            }
            return Err(PathError::DotsOnly);
        }
        key.push('/');
        key.push_str(name);
    }
    if key.is_empty() {
        key.push('/');
    }
    Ok(key)
}

/// Decodes every escape; the input is a normal form, so that all of them are whole.
fn decode(normal: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(normal.len());
    let mut rest = normal;
    while let Some((&first, tail)) = rest.split_first() {
        if let (b'%', Some(high), Some(low)) = (first, hex(tail.first()), hex(tail.get(1))) {
            bytes.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    bytes
}
