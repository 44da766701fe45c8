//! From the layers to the settings in force.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use config::{Config, Value as Merged, ValueKind};

use super::error::{ConfigError, Place, Problem};
use super::key::KEYS;
use super::layer::{Layer, split};
use super::persist::SETTINGS_FILE;
use super::settings::Settings;

/// Whose daemon reads the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The host's.
    System,
    /// One user's.
    User,
}

/// Where settings may come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whose daemon this is.
    pub mode: Mode,
    /// The host's folder of settings, `/etc/twolane`.
    pub etc: PathBuf,
    /// A file that takes the place of all other files but `settings.toml`; it must be there.
    pub file: Option<PathBuf>,
    /// The state directory, which holds `settings.toml`.
    pub state_dir: PathBuf,
    /// The process environment. `XDG_CONFIG_HOME` and `HOME` lead to a user's file, and
    /// `TWOLANE_CFG__SECTION__KEY` sets a value; nothing else is looked at.
    pub env: Vec<(String, String)>,
    /// Settings from the command line, by name.
    pub flags: Vec<(String, String)>,
}

/// The settings in force and what is to be told about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// All values.
    pub settings: Settings,
    /// Each value and where it came from, in the order of [`KEYS`].
    pub entries: Vec<Entry>,
    /// The files that were read, in the order of their layers.
    pub files: Vec<PathBuf>,
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Its value as TOML.
    pub value: String,
    /// Where it came from: `default`, a file with its line, a variable, the command line.
    pub origin: String,
}

/// What a reload changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Settings that a running daemon applies.
    pub changed: Vec<String>,
    /// Settings that a running daemon applied and that are not set any more.
    pub removed: Vec<String>,
    /// Settings that stay as they were until it is started again.
    pub needs_restart: Vec<String>,
}

impl Sources {
    /// The usual places, with an empty environment and no flags.
    pub fn new(mode: Mode, state_dir: PathBuf) -> Self {
        let etc = Path::new("/etc").join(crate::NAME);
        Self { mode, etc, file: None, state_dir, env: Vec::new(), flags: Vec::new() }
    }

    /// The files that may hold settings, lowest layer first, without `settings.toml`.
    fn candidates(&self) -> Result<Vec<PathBuf>, Problem> {
        if let Some(file) = &self.file {
            return Ok(vec![file.clone()]);
        }
        let own = format!("{}.toml", crate::NAME);
        match self.mode {
            Mode::System => {
                let mut files = vec![self.etc.join(own)];
                files.extend(fragments(&self.etc.join("conf.d"))?);
                Ok(files)
            }
            Mode::User => {
                let host = self.etc.join("user.toml");
                let home = self.config_home().map(|dir| dir.join(crate::NAME).join(own));
                Ok(std::iter::once(host).chain(home).collect())
            }
        }
    }

    fn config_home(&self) -> Option<PathBuf> {
        let absolute = |name| {
            self.variable(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute())
        };
        absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The variables that set a value, with the names of the settings, in the order of their names.
    fn variables(&self) -> Vec<(String, &str, Place)> {
        let prefix = format!("{}_CFG__", crate::NAME.to_uppercase());
        let mut found: Vec<_> = self
            .env
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(&prefix)?.to_lowercase().replace("__", ".");
                Some((key, value.as_str(), Place::Variable(name.clone())))
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn flags(&self) -> impl Iterator<Item = (String, &str, Place)> {
        self.flags
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str(), Place::Flag(key.clone())))
    }
}

/// The `*.toml` files of a folder by name; none if the folder is not there.
fn fragments(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let read = |source| Problem::Read { path: folder.to_owned(), source };
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads all layers. Either everything that anybody wrote is in force, or the error tells all that is
/// wrong.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let mut layers = vec![Layer::defaults(&spelled(&Settings::default()))];
    let candidates = sources.candidates().unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let own = sources.state_dir.join(SETTINGS_FILE);
    for path in candidates.into_iter().chain([own]) {
        let required = sources.file.as_ref() == Some(&path);
        match read_file(&path, required) {
            Ok(Some(text)) => {
                layers.push(Layer::parse(&path, text, &mut problems));
                files.push(path);
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    layers.push(Layer::texts(sources.variables(), &mut problems));
    layers.push(Layer::texts(sources.flags(), &mut problems));
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let (settings, entries) = merge(layers)
        .map_err(|error| ConfigError { problems: vec![Problem::Unfit(error.to_string())] })?;
    Ok(Loaded { settings, entries, files })
}

/// The text of a file; `None` if it is not there and need not be.
fn read_file(path: &Path, required: bool) -> Result<Option<String>, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        // What stands above it may be no folder; whoever needs the folder says so better.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                && !required =>
        {
            Ok(None)
        }
        Err(source) => Err(Problem::Read { path: path.to_owned(), source }),
    }
}

fn merge(layers: Vec<Layer>) -> Result<(Settings, Vec<Entry>), config::ConfigError> {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    let merged = builder.build()?;
    let mut entries = Vec::new();
    flatten(&merged.cache, &mut Vec::new(), &mut entries);
    entries.sort_by_cached_key(|entry| (rank(&entry.key), entry.key.clone()));
    Ok((merged.try_deserialize()?, entries))
}

/// All values below `node` as entries.
fn flatten(node: &Merged, path: &mut Vec<String>, entries: &mut Vec<Entry>) {
    if let ValueKind::Table(table) = &node.kind {
        for (name, child) in table {
            path.push(name.clone());
            flatten(child, path, entries);
            path.pop();
        }
        return;
    }
    let origin = node.origin().unwrap_or("default").to_owned();
    entries.push(Entry { key: path.join("."), value: toml_text(&node.kind), origin });
}

fn toml_text(value: &ValueKind) -> String {
    match value {
        ValueKind::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
        ValueKind::Array(values) => {
            let texts: Vec<String> = values.iter().map(|value| toml_text(&value.kind)).collect();
            format!("[{}]", texts.join(", "))
        }
        other => other.to_string(),
    }
}

/// Where a setting stands in the list of all: queues come last, by their names.
fn rank(key: &str) -> usize {
    let section = split(key)[0];
    let place = |found: &dyn Fn(&str) -> bool| KEYS.iter().position(|known| found(known.name));
    place(&|name| name == key)
        .or_else(|| place(&|name| name.split('.').next() == Some(section)))
        .unwrap_or(KEYS.len())
}

/// What changes from one load to the next, in values and not in how they are spelled.
pub fn diff(old: &Loaded, new: &Loaded) -> Difference {
    let (old, new) = (values(&old.settings), values(&new.settings));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut difference = Difference::default();
    for name in names {
        if old.get(name) == new.get(name) {
            continue;
        }
        let live = super::Key::find(&split(name)).is_some_and(|key| key.live);
        let list = match (live, new.contains_key(name)) {
            (true, true) => &mut difference.changed,
            (true, false) => &mut difference.removed,
            (false, _) => &mut difference.needs_restart,
        };
        list.push(name.clone());
    }
    difference
}

/// Settings by name, each spelled in the one canonical way.
pub(super) fn values(settings: &Settings) -> BTreeMap<String, serde_json::Value> {
    fn walk(node: serde_json::Value, name: &str, values: &mut BTreeMap<String, serde_json::Value>) {
        match node {
            serde_json::Value::Object(fields) => {
                for (field, child) in fields {
                    let below = if name.is_empty() { field } else { format!("{name}.{field}") };
                    walk(child, &below, values);
                }
            }
            serde_json::Value::Null => {}
            leaf => drop(values.insert(name.to_owned(), leaf)),
        }
    }
    let mut all = BTreeMap::new();
    walk(spelled(settings), "", &mut all);
    all
}

/// Settings as a tree of plain values.
fn spelled(settings: &Settings) -> serde_json::Value {
    // Plain records with text keys always have a JSON form.
    serde_json::to_value(settings).unwrap_or_default()
}
