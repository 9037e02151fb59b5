//! Small writes in one piece: for a head with a short body, copying both into one buffer costs
//! less than the kernel's handling of a list of buffers.

use std::cell::RefCell;
use std::io::IoSlice;

/// Bytes up to which copying is cheaper: a typical head with a small body.
const GATHERED_BYTES_MAX: usize = 2_048;

thread_local! {
    /// Room for one small write. The thread's own, so that it is neither cleared for each write nor far away.
    static ROOM: RefCell<[u8; GATHERED_BYTES_MAX]> = const { RefCell::new([0; GATHERED_BYTES_MAX]) };
}

/// Hands `write` the bytes of `slices` in one piece where that is cheap, and otherwise nothing.
pub(super) fn gathered<R>(slices: &[IoSlice<'_>], write: impl FnOnce(Option<&[u8]>) -> R) -> R {
    if let [only] = slices {
        return write(Some(only));
    }
    ROOM.with(|room| match room.try_borrow_mut() {
        Ok(mut room) => write(gather(&mut room[..], slices)),
        Err(_) => write(None), // a write within a write takes no copy
    })
}

fn gather<'a>(room: &'a mut [u8], slices: &[IoSlice<'_>]) -> Option<&'a [u8]> {
    let mut length = 0;
    for slice in slices {
        let end = length + slice.len();
        room.get_mut(length..end)?.copy_from_slice(slice);
        length = end;
    }
    room.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(slices: &[IoSlice<'_>]) -> Option<Vec<u8>> {
        gathered(slices, |bytes| bytes.map(<[u8]>::to_vec))
    }

    #[test]
    fn small_lists_become_one_piece_and_large_ones_stay() {
        let (head, body, large) = ([b'h'; 100], [b'b'; 50], [b'l'; GATHERED_BYTES_MAX]);
        let small = [IoSlice::new(&head), IoSlice::new(&[]), IoSlice::new(&body)];
        assert_eq!(copy(&small), Some([&head[..], &body[..]].concat()));
        assert_eq!(copy(&[IoSlice::new(&head), IoSlice::new(&large)]), None);
        assert_eq!(copy(&[IoSlice::new(&large)]), Some(large.to_vec()));
        assert_eq!(copy(&[]), Some(Vec::new()));
    }

    #[test]
    fn a_write_within_a_write_is_left_as_it_is() {
        let small = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        let inner = gathered(&small, |_| copy(&small));
        assert_eq!(inner, None);
        assert_eq!(copy(&small), Some(b"headbody".to_vec()));
    }
}
