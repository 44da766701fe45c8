//! Which setting a misspelt name was meant to be.

/// The known name that `word` most likely stands for: the one with the fewest edits between them,
/// if they are few; else one whose last part is the word, for a key that lost its section.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let close = known
        .iter()
        .map(|name| (distance(word, name), *name))
        .filter(|(edits, _)| *edits <= allowed)
        .min()
        .map(|(_, name)| name);
    close.or_else(|| same_last_part(word, known))
}

fn same_last_part<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let last = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    let wanted = word.rsplit('.').next().unwrap_or(word);
    known.iter().copied().find(|name| last(name) == wanted)
}

/// Insertions, removals and replacements that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_another_word_finds_nothing() {
        let known = ["lanes.cpu", "lanes.io", "daemon.drain_timeout"];
        for (word, meant) in [
            ("lanes.cpus", Some("lanes.cpu")),
            ("lane.io", Some("lanes.io")),
            ("daemon.drain_timout", Some("daemon.drain_timeout")),
            ("cpu", Some("lanes.cpu")),
            ("pool.cpu", Some("lanes.cpu")),
            ("output.format", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
