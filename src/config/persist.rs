//! `settings.toml` in the state directory: what was changed while the daemon ran and is to last.
//!
//! The file is replaced as a whole, by rename after a sync: a crash leaves the old one or the new
//! one. Comments and other settings in it stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Table, TableLike, Value};

use super::error::{PersistError, Place, Problem};
use super::layer::{known, refuse, split, syntax};

/// The name of the file in the state directory.
pub const SETTINGS_FILE: &str = "settings.toml";

/// Writes settings down, beside those that stand there already. They hold from the next load on.
pub fn persist(state_dir: &Path, changes: &[(&str, &str)]) -> Result<(), PersistError> {
    let mut checked = Vec::new();
    for (key, text) in changes {
        checked.push((split(key), read(key, text)?));
    }
    edit(state_dir, |document, path| {
        checked.iter().try_for_each(|(names, value)| {
            let inner = section(document.as_table_mut(), &names[..names.len() - 1], path)?;
            set(inner, names[names.len() - 1], value.clone());
            Ok(())
        })
    })
}

/// Takes settings out of the file, so that the layers below count again.
pub fn forget(state_dir: &Path, keys: &[&str]) -> Result<(), PersistError> {
    edit(state_dir, |document, _| {
        for key in keys {
            remove(document.as_table_mut(), &split(key));
        }
        Ok(())
    })
}

fn read(key: &str, text: &str) -> Result<Value, Problem> {
    let (names, place) = (split(key), Place::Flag(key.to_owned()));
    let shape = &known(&names, &place)?.shape;
    shape.read(text).map_err(|misfit| refuse(misfit, &names, shape, text, &place))
}

fn edit(
    state_dir: &Path,
    change: impl FnOnce(&mut DocumentMut, &Path) -> Result<(), Problem>,
) -> Result<(), PersistError> {
    let path = state_dir.join(SETTINGS_FILE);
    let mut document = open(&path)?;
    change(&mut document, &path)?;
    replace(state_dir, &path, &document.to_string())
        .map_err(|source| PersistError::Write { path, source })
}

fn open(path: &Path) -> Result<DocumentMut, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => {
            Document::parse(text).map(Document::into_mut).map_err(|error| syntax(path, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(fresh()),
        Err(source) => Err(Problem::Read { path: path.to_owned(), source }),
    }
}

/// The file before anything stands in it.
fn fresh() -> DocumentMut {
    let mut document = DocumentMut::new();
    document.as_table_mut().decor_mut().set_prefix(format!(
        "# Written by {}: settings that were changed while it ran and are to last.\n",
        crate::DAEMON_NAME
    ));
    document
}

/// The table of these names, made where it is missing.
fn section<'a>(
    root: &'a mut Table,
    names: &[&str],
    path: &Path,
) -> Result<&'a mut dyn TableLike, Problem> {
    let mut table: &mut dyn TableLike = root;
    for name in names {
        let missing = Item::Table(Table::new());
        table = table.entry(name).or_insert(missing).as_table_like_mut().ok_or_else(|| {
            Problem::WrongType {
                place: Place::File { path: path.to_owned(), line: 1 },
                key: (*name).to_owned(),
                wanted: "a section".to_owned(),
                value: "a value".to_owned(),
            }
        })?;
    }
    Ok(table)
}

/// Sets a value and keeps the comment behind the old one.
fn set(table: &mut dyn TableLike, name: &str, mut value: Value) {
    if let Some(old) = table.get(name).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    table.insert(name, Item::Value(value));
}

/// Removes a value, and the sections that are empty then.
fn remove(table: &mut dyn TableLike, names: &[&str]) {
    match names {
        [] => {}
        [last] => drop(table.remove(last)),
        [section, rest @ ..] => {
            let Some(inner) = table.get_mut(section).and_then(Item::as_table_like_mut) else {
                return;
            };
            remove(inner, rest);
            if inner.is_empty() {
                table.remove(section);
            }
        }
    }
}

fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new: PathBuf = folder.join(format!("{SETTINGS_FILE}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The rename itself is on the disk only once the folder is.
    File::open(folder)?.sync_all()
}
