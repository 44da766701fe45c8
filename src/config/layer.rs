//! One layer of settings: names, values and the place each was written at, every one checked.

use std::path::Path;

use config::{Map, Source, Value as Merged, ValueKind};
use toml_edit::{Document, Item, TableLike, Value};

use super::error::{Place, Problem};
use super::key::{Key, Misfit, Shape};
use crate::job::{KeyRule, Spec};

/// The values of one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    leaves: Vec<Leaf>,
}

/// One value.
#[derive(Clone, Debug)]
struct Leaf {
    path: Vec<String>,
    value: ValueKind,
    place: Place,
}

/// A name's parts. Names of queues and keys may hold dots themselves: they are what stands between the
/// section and the last part.
pub(super) fn split(key: &str) -> Vec<&str> {
    if let Some((name, last)) = key.strip_prefix("queues.").and_then(|rest| rest.rsplit_once('.')) {
        return vec!["queues", name, last];
    }
    if let Some((name, last)) =
        key.strip_prefix("limits.keys.").and_then(|rest| rest.rsplit_once('.'))
    {
        return vec!["limits", "keys", name, last];
    }
    key.split('.').collect()
}

/// The setting of this name, or the problem that there is none.
pub(super) fn known(path: &[&str], place: &Place) -> Result<&'static Key, Problem> {
    let unknown = |section| Problem::Unknown {
        place: place.clone(),
        key: path.join("."),
        meant: Key::meant(path, section),
    };
    let key = Key::find(path).ok_or_else(|| unknown(false))?;
    if path.len() == 3 {
        check_queue_name(path[1], place)?;
    }
    if path.len() == 4 {
        check_key_pattern(path[2], place)?;
    }
    Ok(key)
}

fn check_queue_name(name: &str, place: &Place) -> Result<(), Problem> {
    let spec = Spec { queue: name.to_owned(), ..Spec::default() };
    spec.check().map_err(|error| Problem::Impossible {
        place: place.clone(),
        key: "queues".to_owned(),
        value: format!("{name:?}"),
        why: error.to_string(),
    })
}

fn check_key_pattern(pattern: &str, place: &Place) -> Result<(), Problem> {
    KeyRule::check_pattern(pattern).map_err(|error| Problem::Impossible {
        place: place.clone(),
        key: "limits.keys".to_owned(),
        value: format!("{pattern:?}"),
        why: format!("{error}, and * at the end alone"),
    })
}

/// Turns a misfit into the problem that tells the user.
pub(super) fn refuse(
    misfit: Misfit,
    path: &[&str],
    shape: &Shape,
    value: &str,
    place: &Place,
) -> Problem {
    let (place, key, value) = (place.clone(), path.join("."), value.trim().to_owned());
    match misfit {
        Misfit::Type => Problem::WrongType { place, key, wanted: shape.to_string(), value },
        Misfit::Value(why) => Problem::Impossible { place, key, value, why },
    }
}

impl Layer {
    /// The compiled defaults, as `settings` spells them.
    pub(super) fn defaults(settings: &serde_json::Value) -> Self {
        let mut layer = Self::default();
        layer.gather(settings, &mut Vec::new());
        layer
    }

    fn gather(&mut self, node: &serde_json::Value, path: &mut Vec<String>) {
        let value = match node {
            serde_json::Value::Object(fields) => {
                for (name, child) in fields {
                    path.push(name.clone());
                    self.gather(child, path);
                    path.pop();
                }
                return;
            }
            serde_json::Value::Bool(flag) => ValueKind::Boolean(*flag),
            serde_json::Value::Number(number) => number.as_i64().map_or(ValueKind::Nil, Into::into),
            serde_json::Value::String(text) => ValueKind::String(text.clone()),
            _ => return,
        };
        self.leaves.push(Leaf { path: path.clone(), value, place: Place::Default });
    }

    /// The values of a TOML file; what is wrong goes to `problems`.
    pub(super) fn parse(path: &Path, text: String, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        match Document::parse(text) {
            Ok(document) => {
                let mut walk = Walk { path, text: document.raw(), layer: &mut layer, problems };
                walk.table(document.as_table(), &mut Vec::new());
            }
            Err(error) => problems.push(syntax(path, &error)),
        }
        layer
    }

    /// Values without types: `(name, text, place)`.
    pub(super) fn texts<'a>(
        texts: impl IntoIterator<Item = (String, &'a str, Place)>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut layer = Self::default();
        for (name, text, place) in texts {
            if let Err(problem) = layer.text(&split(&name), text, place) {
                problems.push(problem);
            }
        }
        layer
    }

    fn text(&mut self, path: &[&str], text: &str, place: Place) -> Result<(), Problem> {
        let shape = &known(path, &place)?.shape;
        let read = shape.read(text);
        let value =
            read.map_err(|misfit| refuse(misfit, path, shape, &format!("{text:?}"), &place))?;
        self.push(path, &value, place);
        Ok(())
    }

    fn push(&mut self, path: &[&str], value: &Value, place: Place) {
        let value = match value {
            Value::String(text) => ValueKind::String(text.value().clone()),
            Value::Integer(number) => ValueKind::I64(*number.value()),
            Value::Float(number) => ValueKind::Float(*number.value()),
            Value::Boolean(flag) => ValueKind::Boolean(*flag.value()),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                ValueKind::Array(names.map(|name| Merged::new(None, name)).collect())
            }
            // No shape takes these, and every value was checked against its shape.
            Value::Datetime(_) | Value::InlineTable(_) => return,
        };
        let path = path.iter().map(|&part| part.to_owned()).collect();
        self.leaves.push(Leaf { path, value, place });
    }
}

/// A text that is not TOML, with the line that the parser points at.
pub(super) fn syntax(path: &Path, error: &toml_edit::TomlError) -> Problem {
    let shown = error.to_string();
    let line = shown
        .split_once("at line ")
        .and_then(|(_, rest)| rest.split([',', ' ']).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(1);
    let place = Place::File { path: path.to_owned(), line };
    Problem::Syntax { place, message: error.message().to_owned() }
}

/// A walk over the tables of a file.
struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    layer: &'a mut Layer,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, table: &dyn TableLike, path: &mut Vec<String>) {
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            let place = self.place(span.map_or(0, |span| span.start));
            path.push(name.to_owned());
            if let Err(problem) = self.item(item, path, &place) {
                self.problems.push(problem);
            }
            path.pop();
        }
    }

    fn item(&mut self, item: &Item, path: &mut Vec<String>, place: &Place) -> Result<(), Problem> {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        if Key::is_section(&names) {
            let table = item.as_table_like().ok_or_else(|| not_a_section(item, &names, place))?;
            self.table(table, path);
            return Ok(());
        }
        if item.is_table_like() && Key::find(&names).is_none() {
            let (place, meant) = (place.clone(), Key::meant(&names, names.len() == 1));
            return Err(Problem::Unknown { place, key: names.join("."), meant });
        }
        let shape = &known(&names, place)?.shape;
        let fits = item.as_value().ok_or(Misfit::Type).and_then(|value| {
            shape.check(value)?;
            Ok(value)
        });
        let value = fits.map_err(|misfit| refuse(misfit, &names, shape, &shown(item), place))?;
        self.layer.push(&names, value, place.clone());
        Ok(())
    }

    fn place(&self, offset: usize) -> Place {
        let line = 1 + self.text[..offset.min(self.text.len())].matches('\n').count();
        Place::File { path: self.path.to_owned(), line }
    }
}

fn not_a_section(item: &Item, names: &[&str], place: &Place) -> Problem {
    let key = names.join(".");
    let wanted = format!("a section, written as [{key}]");
    Problem::WrongType { place: place.clone(), key, wanted, value: shown(item) }
}

/// What was written, short enough for a message.
fn shown(item: &Item) -> String {
    match item {
        Item::Value(Value::Array(_)) => "a list".to_owned(),
        Item::Value(value) if !value.is_inline_table() => match value {
            Value::String(text) => format!("{:?}", text.value()),
            other => other.clone().decorated("", "").to_string(),
        },
        Item::ArrayOfTables(_) => "a list of tables".to_owned(),
        _ => "a table".to_owned(),
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Merged>, config::ConfigError> {
        let mut root = Map::new();
        for leaf in &self.leaves {
            let origin = leaf.place.to_string();
            put(&mut root, &leaf.path, Merged::new(Some(&origin), leaf.value.clone()));
        }
        Ok(root)
    }
}

/// Puts a value below the tables that its path names.
fn put(table: &mut Map<String, Merged>, path: &[String], value: Merged) {
    match path {
        [] => {}
        [last] => drop(table.insert(last.clone(), value)),
        [section, rest @ ..] => {
            let inner = table
                .entry(section.clone())
                .or_insert_with(|| Merged::new(None, ValueKind::Table(Map::new())));
            if let ValueKind::Table(inner) = &mut inner.kind {
                put(inner, rest, value);
            }
        }
    }
}
