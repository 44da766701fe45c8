//! Placeholders: where a value of a list goes into a job.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{}` | the value |
//! | `{.}` | the value without its file ending |
//! | `{/}` | its last part, as a path |
//! | `{//}` | the folder before that |
//! | `{/.}` | its last part without the ending |
//! | `{#}` | its number, from 1 |
//!
//! Everything else in braces stays as it is: some of it is for the daemon.

use std::borrow::Cow;

const PLACEHOLDERS: [(&str, Part); 6] = [
    ("{}", Part::Value),
    ("{.}", Part::Stem),
    ("{/}", Part::Base),
    ("{//}", Part::Folder),
    ("{/.}", Part::BaseStem),
    ("{#}", Part::Number),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Value,
    Stem,
    Base,
    Folder,
    BaseStem,
    Number,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Part(Part),
}

/// A text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

/// A value of a list and its number, from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    /// The value.
    pub(super) value: &'a str,
    /// Its number.
    pub(super) number: u64,
}

impl Pattern {
    /// Finds the placeholders of a text.
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some(brace) = rest.find('{') {
            plain.push_str(&rest[..brace]);
            rest = &rest[brace..];
            let found = PLACEHOLDERS.iter().find(|(known, _)| rest.starts_with(known));
            let Some((known, part)) = found else {
                plain.push('{');
                rest = &rest[1..];
                continue;
            };
            if !plain.is_empty() {
                pieces.push(Piece::Plain(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Part(*part));
            rest = &rest[known.len()..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain));
        }
        Self { pieces }
    }

    /// Adds more text, with placeholders of its own, at the end.
    pub(super) fn append(&mut self, text: &str) {
        self.pieces.extend(Self::parse(text).pieces);
    }

    /// Whether there is any placeholder.
    pub(super) fn has_any(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Part(_)))
    }

    /// The text for one value; `quote` makes each inserted text one word of a shell.
    pub(super) fn fill(&self, item: Item<'_>, quote: bool) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Part(part) if quote => text.push_str(&quoted(&part.of(item))),
                Piece::Part(part) => text.push_str(&part.of(item)),
            }
        }
        text
    }
}

impl Part {
    fn of(self, item: Item<'_>) -> Cow<'_, str> {
        let value = item.value;
        match self {
            Self::Value => value.into(),
            Self::Stem => without_ending(value).into(),
            Self::Base => split_path(value).1.into(),
            Self::Folder => split_path(value).0.into(),
            Self::BaseStem => without_ending(split_path(value).1).into(),
            Self::Number => item.number.to_string().into(),
        }
    }
}

/// A path as folder and last part; the folder of a bare name is `.`.
fn split_path(path: &str) -> (&str, &str) {
    let trimmed = match path.trim_end_matches('/') {
        "" if path.starts_with('/') => return ("/", "/"),
        trimmed => trimmed,
    };
    match trimmed.rfind('/') {
        None => (".", trimmed),
        Some(0) => ("/", &trimmed[1..]),
        Some(slash) => (&trimmed[..slash], &trimmed[slash + 1..]),
    }
}

/// A path without its file ending: the last dot and what follows, unless the name begins there.
fn without_ending(path: &str) -> &str {
    let base = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[base..].rfind('.') {
        Some(dot) if dot > 0 => &path[..base + dot],
        _ => path,
    }
}

/// A text as one word of a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(tame) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn filled(pattern: &str, value: &str) -> String {
        Pattern::parse(pattern).fill(Item { value, number: 7 }, false)
    }

    #[test]
    fn each_placeholder_takes_its_part_of_a_path() {
        let value = "a/b.c/film.tar.gz";
        for (pattern, text) in [
            ("{}", value),
            ("{.}", "a/b.c/film.tar"),
            ("{/}", "film.tar.gz"),
            ("{//}", "a/b.c"),
            ("{/.}.mp4", "film.tar.mp4"),
            ("n{#}-{/}", "n7-film.tar.gz"),
        ] {
            assert_eq!(filled(pattern, value), text, "{pattern}");
        }
    }

    #[test]
    fn odd_paths_have_parts_too() {
        for (value, folder, base, stem) in [
            ("file", ".", "file", "file"),
            ("/file.x", "/", "file.x", "/file"),
            (".hidden", ".", ".hidden", ".hidden"),
            ("d.x/file", "d.x", "file", "d.x/file"),
            ("dir/", ".", "dir", "dir/"),
            ("/", "/", "/", "/"),
        ] {
            assert_eq!(filled("{//}", value), folder, "{value}");
            assert_eq!(filled("{/}", value), base, "{value}");
            assert_eq!(filled("{.}", value), stem, "{value}");
        }
    }

    #[test]
    fn other_braces_stay() {
        for text in ["{id}-{name}.log", "{{", "a{b", "${x}", "{ }"] {
            assert!(!Pattern::parse(text).has_any(), "{text}");
            assert_eq!(filled(text, "v"), text);
        }
        assert_eq!(filled("{{}}", "v"), "{v}");
        assert_eq!(filled("{id}{}", "v"), "{id}v");
    }

    #[test]
    fn a_value_with_placeholders_in_it_is_not_looked_into() {
        assert_eq!(filled("{}{}", "{#}"), "{#}{#}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(value in "[^\0]{0,40}") {
            let text = Pattern::parse("printf %s {}").fill(Item { value: &value, number: 1 }, true);
            let output = Command::new("/bin/sh").args(["-c", &text]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_comes_through(text in "[^{]{0,60}") {
            prop_assert_eq!(filled(&text, "v"), text);
        }
    }
}
