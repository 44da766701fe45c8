//! The values and jobs that come from a list: words after `:::`, lines of a file, JSON lines.
//!
//! Invariant: a list is read as it is used up, so its length costs no memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::error::Error;
use crate::protocol::MAX_MESSAGE;

/// The longest line: no job that is longer fits into a message.
const MAX_LINE: usize = MAX_MESSAGE / 2;
/// How much is looked at to tell a list from something else.
const LOOK: usize = 64 << 10;

/// A value and the line it came from, or its place among the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The value.
    pub(super) text: String,
    /// From 1; blank lines count.
    pub(super) number: u64,
}

/// Where values come from.
pub(super) enum Inputs {
    /// The command line.
    Words(std::iter::Enumerate<std::vec::IntoIter<String>>),
    /// A file or standard input.
    Lines(Lines),
}

/// The lines of a file.
pub(super) struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    end: u8,
    number: u64,
}

impl Inputs {
    /// The words of the command line.
    pub(super) fn words(words: Vec<String>) -> Self {
        Self::Words(words.into_iter().enumerate())
    }

    /// The next value.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Error> {
        match self {
            Self::Words(words) => {
                let line = |(place, text)| Line { text, number: place as u64 + 1 };
                Ok(words.next().map(line))
            }
            Self::Lines(lines) => lines.next(),
        }
    }

    /// What a value is called in a message.
    pub(super) fn name_of(&self, number: u64) -> String {
        match self {
            Self::Words(_) => format!("value {number}"),
            Self::Lines(lines) => format!("{} line {number}", lines.name),
        }
    }
}

impl Lines {
    /// Opens a file, or standard input for `-`. With `zero` lines end with NUL.
    pub(super) fn open(file: &str, zero: bool) -> Result<Self, Error> {
        if file == "-" {
            return Self::read(
                "standard input",
                Box::new(BufReader::with_capacity(LOOK, io::stdin())),
                zero,
            );
        }
        let input = |source| Error::Input { name: file.to_owned(), source };
        let opened = File::open(file).map_err(input)?;
        if opened.metadata().is_ok_and(|about| about.is_dir()) {
            return Err(Error::usage(format!(
                "{file} is a folder, not a list: to make a job of each file in it write ::: {file}/*"
            )));
        }
        Self::read(file, Box::new(BufReader::with_capacity(LOOK, opened)), zero)
    }

    /// Reads from anything. A list that does not look like text is refused at once.
    pub(super) fn read(
        name: &str,
        mut reader: Box<dyn BufRead>,
        zero: bool,
    ) -> Result<Self, Error> {
        let input = |source| Error::Input { name: name.to_owned(), source };
        let begin = reader.fill_buf().map_err(input)?;
        if !zero && begin.contains(&0) {
            return Err(Error::usage(format!(
                "{name} is no list of lines, it has NUL bytes: write ::: {name} if the file itself is the value, or -0 if NUL ends each value"
            )));
        }
        let end = if zero { 0 } else { b'\n' };
        Ok(Self { name: name.to_owned(), reader, end, number: 0 })
    }

    fn next(&mut self) -> Result<Option<Line>, Error> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
            let input = |source| Error::Input { name: self.name.clone(), source };
            if limited.read_until(self.end, &mut bytes).map_err(input)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if bytes.last() == Some(&self.end) {
                bytes.pop();
            }
            if bytes.len() > MAX_LINE {
                return Err(self.wrong(&format!("it is longer than {MAX_LINE} bytes")));
            }
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if bytes.contains(&0) {
                return Err(self.wrong("it has a NUL byte, which no job can have"));
            }
            let text = String::from_utf8(bytes)
                .map_err(|_| self.wrong("it is not UTF-8, which jobs have to be"))?;
            return Ok(Some(Line { text, number: self.number }));
        }
    }

    fn wrong(&self, problem: &str) -> Error {
        Error::usage(format!("{} line {}: {problem}", self.name, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &'static [u8], zero: bool) -> Result<Vec<(u64, String)>, Error> {
        let mut lines = Inputs::Lines(Lines::read("list", Box::new(bytes), zero)?);
        let mut found = Vec::new();
        while let Some(line) = lines.next()? {
            found.push((line.number, line.text));
        }
        Ok(found)
    }

    #[test]
    fn a_line_is_one_value_and_blank_ones_are_none() {
        let found = all(b"a b\n\n  \n c'd\nlast", false).unwrap();
        assert_eq!(found, [(1, "a b".into()), (4, " c'd".into()), (5, "last".into())]);
        let found = all(b"a\nb\0\0c\0", true).unwrap();
        assert_eq!(found, [(1, "a\nb".into()), (3, "c".into())]);
        assert_eq!(all(b"", false).unwrap(), []);
    }

    #[test]
    fn a_binary_file_is_no_list() {
        let error = all(b"\x7fELF\0\0", false).unwrap_err().to_string();
        assert!(error.contains("::: list"), "{error}");
        let error = all(b"good\nb\xffd\n", false).unwrap_err().to_string();
        assert!(error.contains("list line 2"), "{error}");
    }

    #[test]
    fn words_are_counted() {
        let mut words = Inputs::words(vec!["a".to_owned(), String::new()]);
        assert_eq!(words.next().unwrap(), Some(Line { text: "a".to_owned(), number: 1 }));
        assert_eq!(words.next().unwrap(), Some(Line { text: String::new(), number: 2 }));
        assert_eq!(words.next().unwrap(), None);
        assert_eq!(words.name_of(2), "value 2");
    }

    #[test]
    fn a_folder_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert!(matches!(Lines::open(path, false), Err(Error::Usage(_))));
        assert!(matches!(Lines::open("/absent/list", false), Err(Error::Input { .. })));
    }
}
