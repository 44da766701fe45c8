//! After which failures a job is run again.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;
use super::outcome::{Failure, Outcome};

/// The failures after which a retry follows, if not all: exit codes, and ways to fail without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryOn {
    /// Ranges of exit codes, sorted, none touching another.
    codes: Box<[(u8, u8)]>,
    /// The numbers in [`WORDS`] of the ways, as bits.
    words: u8,
}

/// Ways to fail that have no exit code of the program's.
const WORDS: [&str; 4] = ["signal", "timeout", "error", "output_limit"];

/// Why a text names no failures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no failure to retry on: write exit codes from 1 to 255, ranges such as 100-110, or {known}, with commas between",
    known = WORDS.join(", ")
)]
pub struct RetryOnError(String);

impl RetryOn {
    /// Whether every failure counts.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an attempt that ended so is one to run again.
    pub fn covers(&self, outcome: &Outcome) -> bool {
        if self.is_any() {
            return true;
        }
        let has = |word: &str| {
            let bit = WORDS.iter().position(|known| *known == word);
            bit.is_some_and(|bit| self.words & (1 << bit) != 0)
        };
        let within = |code: i32| {
            let code = u8::try_from(code).ok();
            let names = |code: u8| self.codes.iter().any(|&(a, b)| (a..=b).contains(&code));
            code.is_some_and(names)
        };
        match outcome {
            Outcome::Failed(
                Failure::Exit(_) | Failure::NotFound(_) | Failure::NotExecutable(_),
            ) => within(outcome.exit_code()),
            Outcome::Failed(Failure::Signal(_)) => has("signal"),
            Outcome::Failed(Failure::Error(_)) => has("error"),
            Outcome::Failed(Failure::OutputLimit) => has("output_limit"),
            Outcome::TimedOut => has("timeout"),
            _ => false,
        }
    }
}

/// Sorted, and as few ranges as say the same.
fn merged(mut ranges: Vec<(u8, u8)>) -> Box<[(u8, u8)]> {
    ranges.sort_unstable();
    let mut all: Vec<(u8, u8)> = Vec::new();
    for (first, last) in ranges {
        match all.last_mut() {
            Some(before) if u16::from(first) <= u16::from(before.1) + 1 => {
                before.1 = before.1.max(last);
            }
            _ => all.push((first, last)),
        }
    }
    all.into()
}

impl FromStr for RetryOn {
    type Err = RetryOnError;

    fn from_str(text: &str) -> Result<Self, RetryOnError> {
        let (mut codes, mut words) = (Vec::new(), 0);
        for part in text.split(',').map(str::trim) {
            let wrong = || RetryOnError(part.to_owned());
            if let Some(bit) = WORDS.iter().position(|word| *word == part) {
                words |= 1 << bit;
                continue;
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let code = |text: &str| text.trim().parse::<u8>().ok().filter(|code| *code > 0);
            let range = code(first).zip(code(last)).filter(|(first, last)| first <= last);
            codes.push(range.ok_or_else(wrong)?);
        }
        Ok(Self { codes: merged(codes), words })
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = self.codes.iter().map(|&(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        });
        let words = WORDS.iter().enumerate().filter(|(bit, _)| self.words & (1 << bit) != 0);
        let all: Vec<String> = codes.chain(words.map(|(_, word)| (*word).to_owned())).collect();
        f.write_str(&all.join(","))
    }
}

as_text!(RetryOn);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_in_the_fewest_words() {
        for (text, written) in [
            ("75", "75"),
            ("100-110, 1 ,75", "1,75,100-110"),
            ("timeout,5,3-4,signal,4-6", "3-6,signal,timeout"),
            ("255,1-254", "1-255"),
        ] {
            let on: RetryOn = text.parse().unwrap();
            assert_eq!(on.to_string(), written);
            assert_eq!(written.parse(), Ok(on));
        }
        for bad in ["", "0", "256", "5-3", "1,,2", "-1", "x", "SIGKILL", "1-"] {
            assert!(bad.parse::<RetryOn>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_is_named_counts_and_without_names_everything() {
        let on: RetryOn = "75,100-110,timeout".parse().unwrap();
        let exit = |code| Outcome::Failed(Failure::Exit(code));
        for outcome in [exit(75), exit(100), exit(110), Outcome::TimedOut] {
            assert!(on.covers(&outcome) && RetryOn::default().covers(&outcome), "{outcome:?}");
        }
        let error = Outcome::Failed(Failure::Error("refused".to_owned()));
        for outcome in [exit(74), exit(-75), Outcome::Failed(Failure::Signal(9)), error] {
            assert!(!on.covers(&outcome) && RetryOn::default().covers(&outcome), "{outcome:?}");
        }
    }
}
