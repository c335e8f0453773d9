//! Every setting as a page for people: `docs/configuration.md`, which a test keeps in step.

use super::keys::Key;
use super::keys::table::ALL;
use super::{Config, ConfigError, Flags};
use std::fmt::Write;

const HEAD: &str = "\
# Settings

<!-- Written by `make docs` from gateway/src/config/keys/table.rs; a test fails when it is old. -->

A setting may stand in a TOML file (`--config FILE` or `SIXFOLD_CONFIG`), in the environment, or
be a flag; flags win over the environment, and it over the file. In the file, `section.name` is
`name` below `[section]`. A value that can't be used stops the start with a line that names it,
where it came from, and what would be right. `sixfold config show` prints what is in effect and
where each value came from.

Durations are a number with a unit: `500ms`, `30s`, `10m`, `6h`, `7d`. Secrets may also be in a
file that `NAME_FILE` names, and are never printed. The size of a cell (256 KiB) is part of the
format on the drives and no setting.
";

/// The page.
pub fn reference() -> Result<String, ConfigError> {
    let config = Config::load(&Flags::default(), &|_| None)?;
    let default_of = |key: &Key| {
        let shown = config.shown.iter().find(|shown| shown.name == key.name);
        shown.map_or("", |shown| shown.value.as_str())
    };
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in ALL {
        let own = key.name.split('.').next().unwrap_or_default();
        if own != section {
            section = own;
            let _ = write!(page, "\n## {section}\n\n");
            page.push_str(
                "| setting | environment, flag | default | what it does |\n|---|---|---|---|\n",
            );
        }
        let names = key.environment.iter().chain(&key.flag);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let default = match default_of(key) {
            "" => "–".to_owned(),
            value => format!("`{value}`"),
        };
        let (name, names, meaning) = (key.name, names.join(", "), key.meaning);
        let _ = writeln!(page, "| `{name}` | {names} | {default} | {meaning} |");
    }
    Ok(page)
}
