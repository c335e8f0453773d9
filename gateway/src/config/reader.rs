//! Finds a setting's value in flags, environment and file, and remembers where it was.

use super::flags::Flags;
use super::keys::Key;
use super::keys::table::ALL;
use super::show::Shown;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display, Formatter};
use std::path::{Path, PathBuf};

/// A start that can't be: one line for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error with its line.
    pub fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

/// Looks a variable up; tests bring their own.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// A variable.
    Environment(String),
    /// A file that a variable names.
    SecretFile(String),
    /// The command line.
    Flag(&'static str),
}

impl Display for Source {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => write!(formatter, "default"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::SecretFile(name) => write!(formatter, "the file named by {name}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// Reads settings one by one.
pub(super) struct Reader<'a> {
    flags: &'a Flags,
    environment: &'a Environment<'a>,
    file: BTreeMap<String, String>,
    path: PathBuf,
    shown: Vec<Shown>,
    sources: BTreeMap<&'static str, Source>,
    doubts: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads the file, if one is named, and refuses keys that don't exist.
    pub(super) fn open(
        flags: &'a Flags,
        environment: &'a Environment<'a>,
    ) -> Result<Self, ConfigError> {
        let named = environment("SIXFOLD_CONFIG").filter(|path| !path.is_empty());
        let path = flags.config.clone().or(named.map(PathBuf::from));
        let file = match &path {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let path = path.unwrap_or_default();
        let (sources, doubts) = (BTreeMap::new(), Vec::new());
        Ok(Self { flags, environment, file, path, shown: Vec::new(), sources, doubts })
    }

    /// A setting with a default.
    pub(super) fn value<T: Debug>(
        &mut self,
        key: &'static Key,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        if let Some((text, source)) = self.find(key)? {
            let value = parse(&text).map_err(|mend| wrong(key, &text, &source, &mend))?;
            self.note(key, &text, source);
            return Ok(value);
        }
        let text = super::show::plain(&default);
        self.shown.push(Shown::new(key, &text, &Source::Default));
        Ok(default)
    }

    /// A setting that may be absent.
    pub(super) fn optional<T: Debug>(
        &mut self,
        key: &'static Key,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((text, source)) = self.find(key)? else {
            self.shown.push(Shown::new(key, "", &Source::Default));
            return Ok(None);
        };
        let value = parse(&text).map_err(|mend| wrong(key, &text, &source, &mend))?;
        self.note(key, &text, source);
        Ok(Some(value))
    }

    fn note(&mut self, key: &'static Key, text: &str, source: Source) {
        self.shown.push(Shown::new(key, text, &source));
        self.sources.insert(key.name, source);
    }

    /// Where a setting that was read came from.
    pub(super) fn source_of(&self, key: &Key) -> Source {
        self.sources.get(key.name).cloned().unwrap_or(Source::Default)
    }

    /// What was set and has no effect.
    pub(super) fn take_doubts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.doubts)
    }

    /// What was read, in the order of the table of settings.
    pub(super) fn into_shown(mut self) -> Vec<Shown> {
        self.shown.sort_by_key(|shown| ALL.iter().position(|key| key.name == shown.name));
        self.shown
    }

    fn find(&mut self, key: &Key) -> Result<Option<(String, Source)>, ConfigError> {
        if let Some(flag) = key.flag
            && let Some(value) = self.flags.value(flag)
        {
            return Ok(Some((value, Source::Flag(flag))));
        }
        let mut found = None;
        for name in key.environment {
            match self.find_variable(key, name)? {
                Some((_, source)) if found.is_some() => {
                    let first = key.environment[0];
                    self.doubts.push(format!("{source} is not used: {first} is set as well"));
                }
                Some(first) => found = Some(first),
                None => {}
            }
        }
        if found.is_some() {
            return Ok(found);
        }
        let value = self.file.get(key.name).cloned();
        Ok(value.map(|value| (value, Source::File(self.path.clone()))))
    }

    /// A variable, or for secrets the file that `NAME_FILE` names. Empty is unset.
    fn find_variable(
        &self,
        key: &Key,
        name: &str,
    ) -> Result<Option<(String, Source)>, ConfigError> {
        let get = |name: &str| (self.environment)(name).filter(|value| !value.is_empty());
        let value = get(name);
        let file_name = format!("{name}_FILE");
        let file = if key.is_secret { get(&file_name) } else { None };
        match (value, file) {
            (Some(_), Some(_)) => {
                Err(ConfigError(format!("both {name} and {file_name} are set: unset one of them")))
            }
            (Some(value), None) => Ok(Some((value, Source::Environment(name.to_owned())))),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    ConfigError(format!("can't read {path}, named by {file_name}: {error}"))
                })?;
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Ok(Some((text, Source::SecretFile(file_name))))
            }
            (None, None) => Ok(None),
        }
    }
}

fn wrong(key: &Key, text: &str, source: &Source, mend: &str) -> ConfigError {
    let text = if key.is_secret { "the value".to_owned() } else { format!("`{text}`") };
    ConfigError(format!("{}: {text} (from {source}) {mend}", key.name))
}

/// The file's values as text by `section.name`.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("can't read the configuration {shown}: {error}")))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| ConfigError(format!("the configuration {shown} is no TOML: {error}")))?;
    let mut values = BTreeMap::new();
    for (section, entries) in table {
        let toml::Value::Table(entries) = entries else {
            return Err(unknown(path, &section));
        };
        for (entry, value) in entries {
            let name = format!("{section}.{entry}");
            if !ALL.iter().any(|key| key.name == name) {
                return Err(unknown(path, &name));
            }
            values.insert(name, as_text(&value));
        }
    }
    Ok(values)
}

fn unknown(path: &Path, name: &str) -> ConfigError {
    ConfigError(format!(
        "{name} in {} is no setting; `sixfold config show` lists all there are",
        path.display()
    ))
}

/// A list is joined as the environment would have it.
fn as_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(":"),
        other => other.to_string(),
    }
}
