//! Names for requests: the request id that stands in logs, problems and headers, and the
//! trace context (`traceparent`, W3C Trace Context level 1) that goes upstream.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::Entropy;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the request id, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that carries the trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest request id taken over from a client, in bytes; ours have 32.
const REQUEST_ID_BYTES_MAX: usize = 64;
/// Shortest request id taken over: anything shorter would not tell requests apart.
const REQUEST_ID_BYTES_MIN: usize = 8;
/// `00-` + 32 + `-` + 16 + `-00`.
const TRACEPARENT_BYTES: usize = 55;
/// The golden-ratio increment of `SplitMix64` (Steele, Lea and Flood, 2014).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Names one request: 8 to 64 bytes of `[A-Za-z0-9._-]`, safe in logs, JSON and HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestId(HeaderValue);

/// The request id and trace context of one request.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Names the request.
    pub id: RequestId,
    /// The `traceparent` to send upstream.
    pub traceparent: HeaderValue,
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
        match (taken_id, taken_trace) {
            (Some(id), Some(trace)) => Identity {
                id: RequestId(id.clone()),
                traceparent: trace.clone(),
            },
            (id, trace) => {
                let made = self.make();
                Identity {
                    id: id.map_or(made.id, |value| RequestId(value.clone())),
                    traceparent: trace.map_or(made.traceparent, HeaderValue::clone),
                }
            }
        }
    }

    /// Makes an identity whose request id is its trace id, so that either finds the other.
    pub fn make(&self) -> Identity {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let step = n.wrapping_mul(GOLDEN);
        let high = mix(self.seed[0].wrapping_add(step));
        let low = mix(self.seed[1].wrapping_add(step)) | 1; // an all-zero trace id is invalid
        let span = mix(self.seed[0].wrapping_sub(step) ^ self.seed[1]) | 1;
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..19], high);
        write_hex(&mut text[19..35], low);
        write_hex(&mut text[36..52], span);
        let text = Bytes::copy_from_slice(&text);
        let value = |bytes: Bytes| {
            HeaderValue::from_maybe_shared(bytes).expect("hexadecimal digits and dashes fit a header")
        };
        Identity {
            id: RequestId(value(text.slice(3..35))),
            traceparent: value(text),
        }
    }
}

impl RequestId {
    /// Takes `text` if it is well-formed.
    pub fn new(text: &str) -> Option<Self> {
        is_request_id(text.as_bytes())
            .then(|| HeaderValue::from_str(text).ok().map(Self))
            .flatten()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header value, without copying.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    (REQUEST_ID_BYTES_MIN..=REQUEST_ID_BYTES_MAX).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
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
