//! A file of named jobs: what it says, and where it says it.
//!
//! Owns the reading and everything that can be said against the file without a daemon. Invariant: a
//! pipeline that was read has jobs whose requirements among each other are named by their places.

use std::collections::HashMap;
use std::ops::Range;

use jiff::Zoned;
use serde_json::{Map, Value, json};
use toml_edit::{Document, Item, Key, TableLike};

use super::when;
use crate::job::nearest;
use crate::protocol::{After, INTERFACE_DESCRIPTION, JobSpec};

/// The table that holds the jobs.
const JOBS: &str = "jobs";
/// The table whose fields every job has that does not say otherwise.
const DEFAULTS: &str = "defaults";
/// A field that only files have: a text for the shell instead of `argv`.
const SHELL: &str = "shell";
/// The field that says what a job waits for.
const AFTER: &str = "after";
/// The field that says when, as people write it.
const AT: &str = "at";

/// Named jobs in the order of their file.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The jobs.
    pub(super) jobs: Vec<JobSpec>,
    /// Their names.
    pub(super) names: Vec<String>,
    /// Where each begins, and where its fields stand.
    lines: Vec<Lines>,
}

/// The lines of a job.
#[derive(Debug)]
struct Lines {
    head: usize,
    fields: HashMap<String, usize>,
}

/// What is wrong with the file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Problem {
    /// From 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) what: String,
}

impl Pipeline {
    /// Reads the text of a file.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let document = Document::parse(text).map_err(|error| Problem {
            line: error.span().map_or(1, |span| line_at(text, &span)),
            what: error.message().to_owned(),
        })?;
        let reading = Reading { text, known: known_fields() };
        let top = document.as_table();
        for (name, item) in top {
            if name != JOBS && name != DEFAULTS {
                let hint = hint(name, [JOBS, DEFAULTS]);
                let what = format!(
                    "unknown table {name:?}{hint}: jobs stand in [{JOBS}.NAME], what they share in [{DEFAULTS}]"
                );
                return Err(reading.problem(top.key(name), item, what));
            }
        }
        let defaults = match top.get(DEFAULTS) {
            Some(item) => reading.fields(table(&reading, DEFAULTS, item)?)?.0,
            None => Map::new(),
        };
        let Some(jobs) = top.get(JOBS) else {
            let what = format!("there are no jobs: each is a table [{JOBS}.NAME]");
            return Err(Problem { line: 1, what });
        };
        reading.pipeline(table(&reading, JOBS, jobs)?, &defaults)
    }

    /// Reads a text that has the fields of one job and nothing else.
    pub(super) fn read_one(text: &str) -> Result<Map<String, Value>, Problem> {
        let document = Document::parse(text).map_err(|error| Problem {
            line: error.span().map_or(1, |span| line_at(text, &span)),
            what: error.message().to_owned(),
        })?;
        let reading = Reading { text, known: known_fields() };
        Ok(reading.fields(document.as_table())?.0)
    }

    /// The line of a job's field, or where the job begins.
    pub(super) fn line_of(&self, index: usize, field: &str) -> Option<usize> {
        let lines = self.lines.get(index)?;
        Some(lines.fields.get(field).copied().unwrap_or(lines.head))
    }
}

/// The fields of a job as JSON, and their lines.
type Fields = (Map<String, Value>, HashMap<String, usize>);

struct Reading<'a> {
    text: &'a str,
    known: Vec<&'static str>,
}

impl Reading<'_> {
    fn pipeline(
        &self,
        table_of_jobs: &dyn TableLike,
        defaults: &Map<String, Value>,
    ) -> Result<Pipeline, Problem> {
        let mut pipeline = Pipeline { jobs: Vec::new(), names: Vec::new(), lines: Vec::new() };
        for (name, item) in table_of_jobs.iter() {
            let head = self.line(table_of_jobs.key(name), item);
            let (own, fields) = self.fields(table(self, name, item)?)?;
            let mut all = defaults.clone();
            if own.contains_key("argv") || own.contains_key("kind") {
                all.remove("argv");
            }
            all.extend(own);
            all.entry("name").or_insert_with(|| name.into());
            let spec = serde_json::from_value(Value::Object(all))
                .map_err(|error| Problem { line: head, what: error.to_string() })?;
            pipeline.jobs.push(spec);
            pipeline.names.push(name.to_owned());
            pipeline.lines.push(Lines { head, fields });
        }
        if pipeline.jobs.is_empty() {
            return Err(Problem { line: 1, what: format!("there are no jobs in [{JOBS}]") });
        }
        place_requirements(&mut pipeline)?;
        Ok(pipeline)
    }

    /// The fields of a job as JSON, each checked alone, and their lines.
    fn fields(&self, table: &dyn TableLike) -> Result<Fields, Problem> {
        let (mut fields, mut lines) = (Map::new(), HashMap::new());
        for (name, item) in table.iter() {
            let wrong = |what: String| self.problem(table.key(name), item, what);
            let value = to_json(item);
            let value = if name == AT { at(&value).map_err(wrong)? } else { value };
            if name == SHELL {
                let text = value.as_str().ok_or_else(|| wrong(format!("{SHELL} is a text")))?;
                fields.insert("argv".to_owned(), json!(["/bin/sh", "-c", text]));
            } else if self.known.contains(&name) {
                fields.insert(name.to_owned(), fitting(name, value).map_err(wrong)?);
            } else {
                let hint = hint(name, self.known.iter().copied().chain([SHELL]));
                return Err(wrong(format!("unknown field {name:?}{hint}")));
            }
            lines.insert(name.to_owned(), self.line(table.key(name), item));
        }
        Ok((fields, lines))
    }

    fn line(&self, key: Option<&Key>, item: &Item) -> usize {
        let span = key.and_then(Key::span).or_else(|| item.span());
        span.map_or(1, |span| line_at(self.text, &span))
    }

    fn problem(&self, key: Option<&Key>, item: &Item, what: String) -> Problem {
        Problem { line: self.line(key, item), what }
    }
}

fn table<'a>(
    reading: &Reading<'_>,
    name: &str,
    item: &'a Item,
) -> Result<&'a dyn TableLike, Problem> {
    item.as_table_like().ok_or_else(|| {
        reading.problem(None, item, format!("{name} is a table: write its fields below it"))
    })
}

/// Replaces the names that jobs require by their places.
fn place_requirements(pipeline: &mut Pipeline) -> Result<(), Problem> {
    let names = pipeline.names.iter().map(String::as_str);
    let by_name: HashMap<&str, usize> = names.zip(0..).collect();
    for (index, job) in pipeline.jobs.iter_mut().enumerate() {
        for text in &mut job.after {
            let Some(placed) = placed(text, &by_name) else {
                let whom = text.split_once(':').map_or(text.as_str(), |(_, whom)| whom);
                let hint = hint(whom, by_name.keys().copied());
                let lines = &pipeline.lines[index];
                let line = lines.fields.get(AFTER).copied().unwrap_or(lines.head);
                let what = format!(
                    "job {:?} is to wait for {text:?}, and there is no such job{hint}: name a job of this file or an id, with ok: (the default), any: or fail: before it",
                    pipeline.names[index]
                );
                return Err(Problem { line, what });
            };
            *text = placed;
        }
    }
    Ok(())
}

/// What is required, told by place if it names a job of the file.
fn placed(text: &str, by_name: &HashMap<&str, usize>) -> Option<String> {
    let (on, whom) = match text.split_once(':') {
        Some((on, whom)) if !by_name.contains_key(text) => (on, whom),
        _ => ("ok", text),
    };
    let placed = match by_name.get(whom) {
        Some(place) => format!("{on}:@{place}"),
        // Places are ours to give: a file names its jobs.
        None if whom.contains('@') => return None,
        None => text.to_owned(),
    };
    After::parse(&placed).is_ok().then_some(placed)
}

/// The fields of a job, as the interface declares them.
fn known_fields() -> Vec<&'static str> {
    let declared = INTERFACE_DESCRIPTION.split_once("type JobSpec (").map_or("", |(_, rest)| rest);
    let fields = declared.split_once(')').map_or("", |(fields, _)| fields);
    fields.split(',').filter_map(|field| Some(field.split_once(':')?.0.trim())).collect()
}

/// The value as the field takes it; a bare number may stand for a text, as a duration in seconds does.
fn fitting(name: &str, value: Value) -> Result<Value, String> {
    let fits = |value: &Value| {
        serde_json::from_value::<JobSpec>(json!({ name: value })).map_err(|error| error.to_string())
    };
    match (fits(&value), &value) {
        (Ok(_), _) => Ok(value),
        (Err(_), Value::Number(number)) if fits(&number.to_string().into()).is_ok() => {
            Ok(number.to_string().into())
        }
        (Err(_), Value::String(_)) if name == AFTER => Ok(json!([value])),
        (Err(problem), _) => Err(format!("{name}: {problem}")),
    }
}

/// A moment as people write it, in the zone of whoever applies the file.
fn at(value: &Value) -> Result<Value, String> {
    let text = value.as_str().ok_or("at is a time, as in \"tomorrow 09:00\"")?;
    let moment = when::moment(text, &Zoned::now()).map_err(|error| error.to_string())?;
    Ok(moment.into())
}

fn to_json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => value_to_json(value),
        Item::Table(table) => table_to_json(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_to_json(table)).collect(),
    }
}

fn table_to_json(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(name, item)| (name.to_owned(), to_json(item))).collect())
}

fn value_to_json(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(flag) => (*flag.value()).into(),
        toml_edit::Value::Datetime(moment) => moment.value().to_string().into(),
        toml_edit::Value::Array(values) => values.iter().map(value_to_json).collect(),
        toml_edit::Value::InlineTable(table) => table_to_json(table),
    }
}

fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

fn line_at(text: &str, span: &Range<usize>) -> usize {
    text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Pipeline::read(text).unwrap_err().to_string()
    }

    #[test]
    fn jobs_name_each_other_in_any_order() {
        let text = "[defaults]\nqueue = 'q'\ntimeout = 90\n[jobs.b]\nargv = ['b']\nafter = ['any:a', '12']\n[jobs.a]\nshell = 'echo $HOME'\npriority = 3\n";
        let pipeline = Pipeline::read(text).unwrap();
        assert_eq!(pipeline.names, ["b", "a"]);
        let (b, a) = (&pipeline.jobs[0], &pipeline.jobs[1]);
        assert_eq!(
            (b.after.as_slice(), b.name.as_deref()),
            (&["any:@1".into(), "12".into()][..], Some("b"))
        );
        assert_eq!((b.queue.as_deref(), b.timeout.as_deref()), (Some("q"), Some("90")));
        assert_eq!(
            a.argv.as_deref(),
            Some(&["/bin/sh".into(), "-c".into(), "echo $HOME".into()][..])
        );
        assert_eq!((pipeline.line_of(0, "after"), pipeline.line_of(1, "argv")), (Some(6), Some(7)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_was_meant() {
        let job = "[jobs.fetch]\nargv = ['x']\n";
        assert!(
            wrong(&format!("{job}[jobs.b]\nargv = ['y']\nafter = ['fecth']\n"))
                .starts_with("line 5: job \"b\"")
        );
        assert!(
            wrong(&format!("{job}[jobs.b]\nargv = ['y']\nafter = ['fecth']\n"))
                .contains("mean \"fetch\"")
        );
        assert_eq!(
            wrong("[jobs.a]\nargv = ['x']\nretrys = 2\n"),
            "line 3: unknown field \"retrys\" (did you mean \"retries\"?)"
        );
        assert!(wrong("[jobs.a]\nargv = 'x'\n").starts_with("line 2: argv: "));
        assert!(wrong("[job.a]\nargv = ['x']\n").contains("mean \"jobs\""));
        assert!(wrong("[jobs.a\n").starts_with("line 1: "));
        for text in ["", "[jobs]\n", "jobs = 3\n", "[jobs.a]\nargv = ['x']\nafter = ['@0']\n"] {
            assert!(Pipeline::read(text).is_err(), "{text:?}");
        }
    }
}
