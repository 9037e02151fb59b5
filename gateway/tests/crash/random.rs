//! The seed of a run and the choices that follow from it.

use std::ops::RangeInclusive;

use domain::Entropy as _;
use gateway::system::SystemEntropy;

/// Repeats a run: the moments of the kills and every decision in the crowd.
const VARIABLE: &str = "DOORLINE_CRASH_SEED";

/// The seed to use: the one that was asked for, or a new one.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(fresh_seed)
}

/// A seed that nobody has, for what must not repeat.
pub(crate) fn fresh_seed() -> u64 {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    u64::from(u32::from_le_bytes(bytes))
}

/// Fails a test with the seed that repeats it.
pub(crate) fn conclude(seed: u64, outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        panic!("{error:#}\nrepeat with {VARIABLE}={seed}");
    }
}

/// A `SplitMix64` generator (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of the range, ends included.
    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let span = range.end().saturating_sub(*range.start()).saturating_add(1);
        range.start() + self.next() % span.max(1)
    }
}
