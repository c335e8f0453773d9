//! Effective values for `sixfold config show`: secrets are named, never shown.

use super::keys::Key;
use super::reader::Source;
use super::units;
use serde::Serialize;
use std::fmt::Debug;

/// One effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The setting, `section.name`.
    pub name: &'static str,
    /// Its value as text; empty when there is none.
    pub value: String,
    /// Where it came from.
    pub source: String,
    /// The variables that would set it.
    pub environment: &'static [&'static str],
}

impl Shown {
    pub(super) fn new(key: &'static Key, value: &str, source: &Source) -> Self {
        let is_hidden = key.is_secret && !value.is_empty();
        Self {
            name: key.name,
            value: if is_hidden { "(hidden)".to_owned() } else { value.to_owned() },
            source: source.to_string(),
            environment: key.environment,
        }
    }
}

/// A default as a person would write it.
pub(super) fn plain<T: Debug>(value: &T) -> String {
    let text = format!("{value:?}");
    if text == "[]" {
        return String::new();
    }
    let text = text.trim_matches('"').to_lowercase();
    units::duration(&text).map_or(text, units::readable)
}
