//! A job as a text that its user changes, and what the changes say.
//!
//! Pure: opens no editor. Invariant: a text that was not changed says that nothing is to be changed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::pipeline::{Pipeline, Problem};
use crate::job::format_duration;
use crate::protocol::{Details, Edit, Job, JobSpec, Selector};

/// Fields whose entries are changed one by one, and what a lost entry is called.
const BY_ENTRY: [&str; 2] = ["params", "env"];

/// The text for a job that was shown.
pub(super) fn text_of(job: &Job, details: &Details) -> String {
    let mut sheet = DocumentMut::new();
    let mut params = details.params.clone();
    if let Some(Value::Array(argv)) = params.get("argv").filter(|_| job.kind == "command").cloned()
    {
        params.remove("argv");
        sheet["argv"] = array(argv.iter().filter_map(Value::as_str));
    }
    let class = job.class.to_string();
    let texts = [
        ("name", job.name.clone()),
        ("queue", Some(job.queue.clone())),
        ("class", Some(class).filter(|class| class != "auto")),
        ("backoff", Some(details.backoff.clone())),
        ("retry_on", details.retry_on.clone()),
        ("timeout", details.timeout_seconds.map(duration)),
        ("grace", details.grace_seconds.map(duration)),
        ("cwd", Some(details.cwd.clone())),
        ("output", details.output.clone()),
        ("at", job.not_before.clone()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            sheet[field] = value(text);
        }
    }
    sheet["priority"] = value(i64::from(job.priority));
    sheet["cpus"] = value(i64::from(job.cpus));
    sheet["retries"] = value(i64::from(job.retries));
    sheet["merge"] = value(details.merge);
    sheet["at_most_once"] = value(details.at_most_once);
    if !job.keys.is_empty() {
        sheet["keys"] = array(job.keys.iter().map(String::as_str));
    }
    if !details.after.is_empty() {
        let after = details.after.iter().map(|other| format!("{}:{}", other.on, other.job));
        let after: Vec<String> = after.collect();
        sheet["after"] = array(after.iter().map(String::as_str));
    }
    let needs = job
        .needs
        .iter()
        .map(|(name, amount)| (name.clone(), value(i64::try_from(*amount).unwrap_or(i64::MAX))));
    table(&mut sheet, "needs", needs.collect());
    let params = params.iter().filter_map(|(name, value)| Some((name.clone(), item(value)?)));
    table(&mut sheet, "params", params.collect());
    format!("{}{sheet}", head(job))
}

fn head(job: &Job) -> String {
    format!(
        "# Job {} of kind {}, which is {}. Change what is to change, save and leave; a line that is taken\n# out takes the value away. Variables are changed with `{} edit {} --env NAME=VALUE`.\n\n",
        job.id,
        job.kind,
        job.state,
        crate::NAME,
        job.id,
    )
}

/// What the changes from the one text to the other say; none if they say nothing.
pub(super) fn changes(jobs: Selector, old: &str, new: &str) -> Result<Option<Edit>, Problem> {
    let (old, new) = (Pipeline::read_one(old)?, Pipeline::read_one(new)?);
    let mut edit = Edit { jobs, ..Edit::default() };
    let mut set = Map::new();
    for (field, was) in &old {
        match new.get(field) {
            Some(is) if is == was => {}
            Some(Value::Bool(false)) => edit.unset.push(field.clone()),
            Some(Value::Object(is)) if BY_ENTRY.contains(&field.as_str()) => {
                let gone = was.as_object().into_iter().flatten();
                let gone = gone.filter(|(name, _)| !is.contains_key(*name));
                edit.unset.extend(gone.map(|(name, _)| format!("{field}.{name}")));
                let fresh = is.iter().filter(|(name, value)| was.get(*name) != Some(*value));
                set.insert(field.clone(), fresh.map(|(n, v)| (n.clone(), v.clone())).collect());
            }
            Some(is) => {
                // Lists are told whole.
                if matches!(field.as_str(), "keys" | "needs") {
                    edit.unset.push(field.clone());
                }
                set.insert(field.clone(), is.clone());
            }
            None if BY_ENTRY.contains(&field.as_str()) => {
                let gone = was.as_object().into_iter().flatten();
                edit.unset.extend(gone.map(|(name, _)| format!("{field}.{name}")));
            }
            None if matches!(field.as_str(), "at" | "in") => edit.unset.push("time".to_owned()),
            None => edit.unset.push(field.clone()),
        }
    }
    set.extend(new.into_iter().filter(|(field, _)| !old.contains_key(field)));
    edit.set = serde_json::from_value(Value::Object(set))
        .map_err(|error| Problem { line: 1, what: error.to_string() })?;
    let nothing = edit.unset.is_empty() && *edit.set == JobSpec::default();
    Ok((!nothing).then_some(edit))
}

fn duration(seconds: f64) -> String {
    format_duration(std::time::Duration::from_secs_f64(seconds))
}

fn array<'a>(texts: impl Iterator<Item = &'a str>) -> Item {
    value(texts.collect::<Array>())
}

fn table(sheet: &mut DocumentMut, name: &str, entries: BTreeMap<String, Item>) {
    if !entries.is_empty() {
        sheet[name] = Item::Table(entries.into_iter().collect::<Table>());
    }
}

fn item(json: &Value) -> Option<Item> {
    Some(match json {
        Value::String(text) => value(text),
        Value::Bool(flag) => value(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => value(number),
            None => value(number.as_f64()?),
        },
        Value::Array(values) => {
            let values = values.iter().filter_map(|one| item(one)?.into_value().ok());
            value(values.collect::<Array>())
        }
        // No kind has such parameters; they stay as they are.
        Value::Null | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OLD: &str = "argv = ['make']\nqueue = 'default'\npriority = 0\ntimeout = '90s'\nmerge = true\nat = '2100-01-01T00:00:00Z'\nkeys = ['db=1']\n[params]\na = 1\nb = 2\n";

    fn changed(new: &str) -> Edit {
        changes(Selector::default(), OLD, new).unwrap().unwrap()
    }

    #[test]
    fn a_text_that_was_not_changed_changes_nothing() {
        assert_eq!(changes(Selector::default(), OLD, OLD), Ok(None));
        assert_eq!(changes(Selector::default(), OLD, &format!("# a remark\n{OLD}")), Ok(None));
    }

    #[test]
    fn what_is_changed_is_set_and_what_is_gone_is_unset() {
        let edit = changed(
            "argv = ['make', '-j8']\nqueue = 'default'\npriority = 3\nmerge = false\nkeys = ['db=2']\n[params]\na = 7\n",
        );
        let set = json!({ "argv": ["make", "-j8"], "priority": 3, "keys": ["db=2"], "params": { "a": 7 } });
        assert_eq!(serde_json::to_value(&edit.set).unwrap(), set);
        let mut unset = edit.unset;
        unset.sort();
        assert_eq!(unset, ["keys", "merge", "params.b", "time", "timeout"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = changes(Selector::default(), OLD, "argv = ['x']\nprioritty = 2\n");
        assert_eq!(
            wrong.unwrap_err().to_string(),
            "line 2: unknown field \"prioritty\" (did you mean \"priority\"?)"
        );
    }
}
