//! One parameter of a kind: its declaration, and how a value is made to fit it.
//!
//! Values come as JSON from programs and as text from the command line; both are turned into the
//! same typed JSON here, so that handlers and records only ever see one form:
//!
//! | kind | stored as |
//! |---|---|
//! | text, path, choice | string |
//! | bool | boolean |
//! | number, size | whole number (a size in bytes) |
//! | duration | number of seconds |
//! | list | array of strings |

use std::time::Duration;

use serde_json::Value;

use crate::job::{Class, Params, parse_duration, parse_size};

/// One parameter of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name; one that ends in `.*` stands for every name that goes on after the dot.
    pub name: &'static str,
    /// What values it takes.
    pub kind: ParamKind,
    /// Whether it must be given.
    pub required: bool,
    /// The value when it is not given, as one would type it.
    pub default: Option<&'static str>,
    /// What it means, in a sentence.
    pub doc: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Any text.
    Text,
    /// The name of a file or folder, relative to the job's directory; never empty, no NUL.
    Path,
    /// Yes or no.
    Bool,
    /// A whole number within these bounds, both included.
    Number {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// A span of time.
    Duration,
    /// A number of bytes.
    Size,
    /// Texts in order; a single text is a list of one.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any JSON value: the handler's own check decides.
    Any,
}

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The kind has no such parameter.
    #[error("kind {kind} has no parameter {name:?}{hint}", hint = nearest.as_ref().map_or_else(String::new, |n| format!(": did you mean {n:?}?")))]
    Unknown {
        /// Which kind.
        kind: String,
        /// What was given.
        name: String,
        /// The parameter that is spelled most like it.
        nearest: Option<String>,
    },
    /// A parameter that must be there is not.
    #[error("kind {kind} needs the parameter {name:?}: {doc}")]
    Missing {
        /// Which kind.
        kind: String,
        /// Which parameter.
        name: String,
        /// What it means.
        doc: String,
    },
    /// A parameter's value does not fit.
    #[error("parameter {name:?}: {problem}")]
    Value {
        /// Which parameter.
        name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The kind can't run as the class that was asked for.
    #[error("kind {kind} can't run as class {class}: use {allowed}")]
    Class {
        /// Which kind.
        kind: String,
        /// What was asked for.
        class: Class,
        /// What is possible, in words.
        allowed: String,
    },
}

impl ParamError {
    /// A value that does not fit, for a handler's own check.
    pub fn value(name: &str, problem: impl ToString) -> Self {
        Self::Value { name: name.to_owned(), problem: problem.to_string() }
    }
}

impl Param {
    /// A parameter that must be given.
    pub const fn required(name: &'static str, kind: ParamKind, doc: &'static str) -> Self {
        Self { name, kind, required: true, default: None, doc }
    }

    /// A parameter that may be left out.
    pub const fn optional(name: &'static str, kind: ParamKind, doc: &'static str) -> Self {
        Self { name, kind, required: false, default: None, doc }
    }

    /// The same with a value for when it is left out, as one would type it.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Whether this declaration is for the parameter called `name`.
    pub fn takes(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(stem) => name.len() > stem.len() && name.starts_with(stem),
            None => self.name == name,
        }
    }

    /// The typed form of a value; `name` is the one it was given under.
    pub(super) fn fit(&self, name: &str, value: Value) -> Result<Value, ParamError> {
        self.kind.fit(value).map_err(|problem| ParamError::value(name, problem))
    }
}

impl ParamKind {
    /// The kind's name in lists and on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Path => "path",
            Self::Bool => "bool",
            Self::Number { .. } => "number",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::List => "list",
            Self::Choice(_) => "choice",
            Self::Any => "any",
        }
    }

    /// The words it takes, if it takes only some.
    pub const fn choices(&self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            _ => &[],
        }
    }

    fn fit(self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Any, value) => Ok(value),
            (Self::Text, Value::String(text)) => Ok(text.into()),
            (Self::Path, Value::String(text)) => fit_path(text),
            (Self::Bool, Value::Bool(flag)) => Ok(flag.into()),
            (Self::Bool, Value::String(text)) => fit_bool(&text),
            (Self::Number { least, most }, Value::Number(number)) => {
                fit_number(number.as_i64(), &number.to_string(), least, most)
            }
            (Self::Number { least, most }, Value::String(text)) => {
                fit_number(text.trim().parse().ok(), &text, least, most)
            }
            (Self::Duration, Value::Number(number)) => fit_duration(&number.to_string()),
            (Self::Duration, Value::String(text)) => fit_duration(&text),
            (Self::Size, Value::Number(number)) => fit_size(&number.to_string()),
            (Self::Size, Value::String(text)) => fit_size(&text),
            (Self::List, Value::String(text)) => Ok(vec![text].into()),
            (Self::List, Value::Array(items)) => fit_list(items),
            (Self::Choice(words), Value::String(text)) => fit_choice(words, text),
            (kind, other) => Err(kind.mismatch(&other)),
        }
    }

    fn mismatch(self, given: &Value) -> String {
        let wanted = match self {
            Self::List => "a list of texts",
            Self::Bool => "true or false",
            Self::Number { .. } => "a whole number",
            Self::Duration => "a duration such as 90s",
            Self::Size => "a size such as 64M",
            Self::Choice(words) => return format!("give one of {}", words.join(", ")),
            Self::Text | Self::Path | Self::Any => "a text",
        };
        let given = match given {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        format!("give {wanted}, not {given}")
    }
}

fn fit_path(text: String) -> Result<Value, String> {
    if text.is_empty() {
        Err("the path is empty".to_owned())
    } else if text.contains('\0') {
        Err("a path can't contain a NUL byte".to_owned())
    } else {
        Ok(text.into())
    }
}

fn fit_bool(text: &str) -> Result<Value, String> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true.into()),
        "false" | "no" | "off" | "0" => Ok(false.into()),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn fit_number(number: Option<i64>, given: &str, least: i64, most: i64) -> Result<Value, String> {
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number.into()),
        _ => Err(format!("{given:?} is not a whole number from {least} to {most}")),
    }
}

fn fit_duration(text: &str) -> Result<Value, String> {
    let span = parse_duration(text).map_err(|error| error.to_string())?;
    Ok(span.as_secs_f64().into())
}

fn fit_size(text: &str) -> Result<Value, String> {
    parse_size(text).map(Value::from).map_err(|error| error.to_string())
}

fn fit_list(items: Vec<Value>) -> Result<Value, String> {
    match items.iter().position(|item| !item.is_string()) {
        None => Ok(items.into()),
        Some(at) => Err(format!("item {at} is not a text: give a list of texts")),
    }
}

fn fit_choice(words: &[&str], text: String) -> Result<Value, String> {
    if words.contains(&text.as_str()) {
        return Ok(text.into());
    }
    let hint = super::nearest(&text, words.iter().copied())
        .map_or_else(String::new, |word| format!(" (did you mean {word}?)"));
    Err(format!("{text:?} is not one of {}{hint}", words.join(", ")))
}

/// A text parameter.
pub(super) fn text<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params.get(name)?.as_str()
}

/// A yes-or-no parameter; no when it is not given.
pub(super) fn flag(params: &Params, name: &str) -> bool {
    params.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// A whole number or size.
pub(super) fn number(params: &Params, name: &str) -> Option<i64> {
    params.get(name)?.as_i64()
}

/// A span of time.
pub(super) fn duration(params: &Params, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(params.get(name)?.as_f64()?).ok()
}

/// A list; empty when it is not given.
pub(super) fn list<'a>(params: &'a Params, name: &str) -> Vec<&'a str> {
    let items = params.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_from_a_command_line_becomes_typed() {
        for (kind, text, typed) in [
            (ParamKind::Bool, "yes", json!(true)),
            (ParamKind::Number { least: 0, most: 9 }, "7", json!(7)),
            (ParamKind::Duration, "1m30s", json!(90.0)),
            (ParamKind::Size, "64M", json!(64 << 20)),
            (ParamKind::List, "a b", json!(["a b"])),
            (ParamKind::Choice(&["zstd", "gzip"]), "gzip", json!("gzip")),
        ] {
            assert_eq!(kind.fit(json!(text)), Ok(typed), "{kind:?}");
        }
    }

    #[test]
    fn a_typed_value_stays_as_it_is() {
        for (kind, value) in [
            (ParamKind::Bool, json!(false)),
            (ParamKind::Number { least: -5, most: 9 }, json!(-5)),
            (ParamKind::Duration, json!(0.25)),
            (ParamKind::Size, json!(4096)),
            (ParamKind::List, json!([])),
            (ParamKind::Any, json!({"a": [1]})),
        ] {
            assert_eq!(kind.fit(value.clone()), Ok(value), "{kind:?}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_in_words() {
        for (kind, value) in [
            (ParamKind::Text, json!(5)),
            (ParamKind::Path, json!("")),
            (ParamKind::Path, json!("a\0b")),
            (ParamKind::Bool, json!("perhaps")),
            (ParamKind::Bool, json!(1)),
            (ParamKind::Number { least: 0, most: 9 }, json!(10)),
            (ParamKind::Number { least: 0, most: 9 }, json!(1.5)),
            (ParamKind::Duration, json!(-1)),
            (ParamKind::Duration, json!(1e300)),
            (ParamKind::Size, json!("-1")),
            (ParamKind::List, json!(["a", 1])),
            (ParamKind::Choice(&["zstd"]), json!("lz4")),
            (ParamKind::Text, json!(null)),
        ] {
            assert!(kind.fit(value.clone()).is_err(), "{kind:?} {value}");
        }
    }

    #[test]
    fn an_open_name_takes_what_follows_its_dot() {
        let header = Param::optional("header.*", ParamKind::Text, "a header");
        assert!(header.takes("header.Accept"));
        assert!(!header.takes("header."));
        assert!(!header.takes("headers"));
    }
}
