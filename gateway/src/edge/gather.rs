//! Small writes in one piece: for a head with a short body, copying both into one buffer costs
//! less than the kernel's handling of a list of buffers.

use std::io::IoSlice;

/// Bytes up to which copying is cheaper: a typical head with a small body.
const GATHERED_BYTES_MAX: usize = 2_048;

/// Room for one small write.
pub(super) struct Gathered([u8; GATHERED_BYTES_MAX]);

impl Gathered {
    pub(super) const fn new() -> Self {
        Self([0; GATHERED_BYTES_MAX])
    }

    /// The bytes of `slices` in one piece, where that is cheap.
    pub(super) fn gather<'a>(&'a mut self, slices: &'a [IoSlice<'_>]) -> Option<&'a [u8]> {
        if let [only] = slices {
            return Some(only);
        }
        let mut length = 0;
        for slice in slices {
            let end = length + slice.len();
            self.0.get_mut(length..end)?.copy_from_slice(slice);
            length = end;
        }
        self.0.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lists_become_one_piece_and_large_ones_stay() {
        let (head, body, large) = ([b'h'; 100], [b'b'; 50], [b'l'; GATHERED_BYTES_MAX]);
        let small = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
        assert_eq!(
            Gathered::new().gather(&small),
            Some([&head[..], &body[..]].concat().as_slice())
        );
        assert_eq!(
            Gathered::new().gather(&[IoSlice::new(&head), IoSlice::new(&large)]),
            None
        );
        assert_eq!(Gathered::new().gather(&[IoSlice::new(&large)]), Some(&large[..]));
        assert_eq!(Gathered::new().gather(&[]), Some(&[][..]));
    }
}
