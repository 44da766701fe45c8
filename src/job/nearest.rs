//! Which of the known names a misspelt one was meant to be.

/// Names longer than this are not compared: a distance costs the product of both lengths.
const LONGEST: usize = 64;

/// The name that takes the fewest edits to become, if they are few enough to be a slip: one in
/// three letters.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    if word.len() > LONGEST {
        return None;
    }
    names
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (distance(word, name), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Insertions, removals, replacements and swaps of neighbours that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut edits = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                edits = edits.min(before_last[j - 1] + 1);
            }
            row.push(edits);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name() {
        let names = ["command", "http", "checksum", "compress", "decompress", "sleep"];
        for (word, meant) in [
            ("comand", "command"),
            ("htpt", "http"),
            ("chekcsum", "checksum"),
            ("decompres", "decompress"),
            ("slep", "sleep"),
        ] {
            assert_eq!(nearest(word, names), Some(meant), "{word}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("encode", ["http", "sleep"]), None);
        assert_eq!(nearest("", ["http"]), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), ["http"]), None);
    }
}
