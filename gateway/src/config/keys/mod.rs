//! The names of every setting, in the file, in the environment and as a flag.

pub(super) mod table;

use table::ALL;

/// One setting's names.
#[derive(Debug)]
pub struct Key {
    /// In the TOML file: `section.name`.
    pub name: &'static str,
    /// In the environment; the first that is set wins. Secrets may also be in a file that
    /// `NAME_FILE` names.
    pub environment: &'static [&'static str],
    /// On the command line.
    pub flag: Option<&'static str>,
    /// Never printed.
    pub is_secret: bool,
    /// What it does, for `docs/configuration.md`.
    pub meaning: &'static str,
}

const fn key(
    name: &'static str,
    environment: &'static [&'static str],
    meaning: &'static str,
) -> Key {
    Key { name, environment, flag: None, is_secret: false, meaning }
}

const fn flagged(
    name: &'static str,
    environment: &'static [&'static str],
    flag: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, environment, flag: Some(flag), is_secret: false, meaning }
}

const fn secret(
    name: &'static str,
    environment: &'static [&'static str],
    meaning: &'static str,
) -> Key {
    Key { name, environment, flag: None, is_secret: true, meaning }
}

/// Whether a variable of ours sets nothing: mistyped, or of another release.
pub(super) fn is_unknown(variable: &str) -> bool {
    let is_known = |key: &&Key| {
        let plain = variable.strip_suffix("_FILE").filter(|_| key.is_secret);
        key.environment.iter().any(|name| *name == variable || Some(*name) == plain)
    };
    variable.starts_with("SIXFOLD_") && variable != "SIXFOLD_CONFIG" && !ALL.iter().any(is_known)
}
