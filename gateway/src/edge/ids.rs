//! Names for requests: the request id that stands in logs, problems and headers, and the
//! trace context (`traceparent`, W3C Trace Context level 1) that goes upstream.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Entropy;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the request id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries the trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest request id taken over from a client, in bytes; ours have 32.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// `00-` + 32 + `-` + 16 + `-00`.
const TRACEPARENT_BYTES: usize = 55;
/// The golden-ratio increment of `SplitMix64` (Steele, Lea and Flood, 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Names one request: 1 to 128 bytes, letters, digits and `._-:/+=@,;~`, safe in logs, headers, JSON
/// and HTML as they are. Held in place, because every request has one and most need it as a header
/// only once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; REQUEST_ID_BYTES_MAX],
    bytes: u8,
}

/// The request id and trace context of one request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Names the request.
    pub id: RequestId,
    trace: Trace,
}

/// A trace context; one of ours is written out only where it goes upstream.
#[derive(Clone, Debug)]
enum Trace {
    /// As the client sent it.
    Taken(HeaderValue),
    /// The halves of the trace id, and the span.
    Made { id: [u64; 2], span: u64 },
}

/// Makes identities for the requests of one connection: drawn once from [`Entropy`], then
/// mixed forward, so that a request costs no system call. Unique, not secret.
#[derive(Debug)]
pub struct IdSource {
    seed: [u64; 2],
    drawn: AtomicU64,
}

impl IdSource {
    /// Draws the seed of one connection.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut halves = [[0_u8; 8]; 2];
        entropy.fill(halves.as_flattened_mut());
        Self {
            seed: halves.map(u64::from_le_bytes),
            drawn: AtomicU64::new(0),
        }
    }

    /// Takes over a well-formed id and trace context from `headers`, and makes what is missing.
    pub fn identify(&self, headers: &HeaderMap) -> Identity {
        // One pass over the names: two look-ups would hash two names that are mostly not there.
        let (mut taken_id, mut taken_trace) = (None, None);
        for (name, value) in headers {
            if *name == X_REQUEST_ID {
                taken_id = taken_id.or(Some(value));
            } else if *name == TRACEPARENT {
                taken_trace = taken_trace.or(Some(value));
            }
        }
        let taken_id = taken_id.filter(|value| is_request_id(value.as_bytes()));
        let taken_trace = taken_trace.filter(|value| is_traceparent(value.as_bytes()));
        let made = self.make();
        Identity {
            id: taken_id.map_or(made.id, |value| RequestId::of(value.as_bytes())),
            trace: taken_trace.map_or(made.trace, |value| Trace::Taken(value.clone())),
        }
    }

    /// Makes an identity whose request id is its trace id, so that either finds the other.
    pub fn make(&self) -> Identity {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let step = n.wrapping_mul(GOLDEN);
        let high = mix(self.seed[0].wrapping_add(step));
        let low = mix(self.seed[1].wrapping_add(step)) | 1; // an all-zero trace id is invalid
        let span = mix(self.seed[0].wrapping_sub(step) ^ self.seed[1]) | 1;
        let mut text = [0; 32];
        write_hex(&mut text[..16], high);
        write_hex(&mut text[16..], low);
        Identity {
            id: RequestId::of(&text),
            trace: Trace::Made {
                id: [high, low],
                span,
            },
        }
    }
}

impl Identity {
    /// The `traceparent` to send upstream.
    pub fn traceparent(&self) -> HeaderValue {
        match &self.trace {
            Trace::Taken(value) => value.clone(),
            Trace::Made {
                id: [high, low],
                span,
            } => {
                let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
                write_hex(&mut text[3..19], *high);
                write_hex(&mut text[19..35], *low);
                write_hex(&mut text[36..52], *span);
                HeaderValue::from_bytes(&text).expect("hexadecimal digits and dashes fit a header")
            }
        }
    }
}

impl RequestId {
    /// Takes `text` if it is well-formed.
    pub fn new(text: &str) -> Option<Self> {
        is_request_id(text.as_bytes()).then(|| Self::of(text.as_bytes()))
    }

    /// Takes over what is known to be well-formed.
    fn of(bytes: &[u8]) -> Self {
        let mut text = [0; REQUEST_ID_BYTES_MAX];
        text[..bytes.len()].copy_from_slice(bytes);
        Self {
            text,
            bytes: u8::try_from(bytes.len()).unwrap_or(0),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.bytes)]
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id as a header value.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).expect("every byte of an id is visible ASCII")
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-:/+=@,;~".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(harmless)
}

/// Version 00 only: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero.
fn is_traceparent(bytes: &[u8]) -> bool {
    if bytes.len() != TRACEPARENT_BYTES || &bytes[..3] != b"00-" || bytes[35] != b'-' || bytes[52] != b'-' {
        return false;
    }
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let some = |part: &[u8]| part.iter().any(|b| *b != b'0');
    let (trace, span, flags) = (&bytes[3..35], &bytes[36..52], &bytes[53..]);
    hex(trace) && hex(span) && hex(flags) && some(trace) && some(span)
}

/// The finaliser of `SplitMix64`: every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes sixteen hexadecimal digits.
fn write_hex(target: &mut [u8], value: u64) {
    target[..8].copy_from_slice(&eight_digits(value >> 32));
    target[8..].copy_from_slice(&eight_digits(value & 0xffff_ffff));
}

/// The hexadecimal digits of the lower half of `value`, all at once: every request draws 48 of
/// them. Each nibble gets a byte of its own, and those above nine are moved on to the letters.
const fn eight_digits(value: u64) -> [u8; 8] {
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (value | value << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let above_nine = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let digits = nibbles + 0x3030_3030_3030_3030 + above_nine * (b'a' - b'9' - 1) as u64;
    digits.to_be_bytes()
}

#[cfg(test)]
mod tests;
