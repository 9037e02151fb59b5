//! The nearest known word to a mistyped one, for "did you mean".

/// Finds the word of `known` that `written` was most likely meant to be, or nothing where
/// none is near: at most a third of the letters may differ, and at least one is allowed.
/// Case and the difference between `-` and `_` do not count.
pub(crate) fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = folded(written);
    known
        .filter_map(|word| {
            let target = folded(word);
            let allowed = (written.len().max(target.len()) / 3).max(1);
            let edits = distance(&written, &target);
            (edits <= allowed).then_some((edits, word))
        })
        .min_by_key(|(edits, word)| (*edits, *word))
        .map(|(_, word)| word)
}

fn folded(word: &str) -> Vec<char> {
    let lower = word.chars().take(64).flat_map(char::to_lowercase);
    lower.map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours,
/// each counting one. Three rows, because a swap looks back two.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 4] = ["total_active_users", "new_users_per_minute", "queue_all", "id"];

    fn near(word: &str) -> Option<&'static str> {
        nearest(word, KEYS.into_iter())
    }

    #[test]
    fn a_dropped_letter_and_swapped_neighbours_find_the_key() {
        assert_eq!(near("total_active_user"), Some("total_active_users"));
        assert_eq!(near("totla_active_users"), Some("total_active_users"));
        assert_eq!(near("newUsersPerMinute"), Some("new_users_per_minute"));
        assert_eq!(near("queue-all"), Some("queue_all"));
        assert_eq!(near("di"), Some("id"));
    }

    #[test]
    fn a_foreign_word_finds_nothing() {
        assert_eq!(near("colour"), None);
        assert_eq!(near(""), None);
    }
}
