//! The limits of style that a machine can keep: length of files, functions and lines, and words
//! that are not ours. An exception is a line in a table below, with its reason; the tables may
//! only shrink.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests.
const MAX_FILE_LINES: usize = 400;

/// Lines of a function.
const MAX_FUNCTION_LINES: usize = 70;

/// Characters of a line.
const MAX_COLUMNS: usize = 100;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Words that hide what a thing is, as parts of names.
const BANNED: &[&str] = &["shard", "blob", "replica", "manager", "helper", "util", "resync"];

/// Where such a word is somebody else's name, and whose.
const BANNED_ALLOWED: &[(&str, &str)] = &[
    ("http_body_util", "a crate"),
    ("hyper_util", "a crate"),
    ("tokio_util", "a crate"),
    ("streamingblob", "a type of s3s"),
];

struct Source {
    name: String,
    lines: Vec<String>,
}

impl Source {
    /// The lines before the tests.
    fn core(&self) -> &[String] {
        let tests = self.lines.iter().position(|line| line.trim_start() == "#[cfg(test)]");
        // A test module in its own file is declared at the top; it has no body here.
        match tests {
            Some(at) if self.lines[at..].iter().any(|line| line.starts_with("mod tests {")) => {
                &self.lines[..at]
            }
            _ => &self.lines,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file that people write.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for package in ["lanes", "gateway", "node", "proto", "compat-tests"] {
        collect(&root().join(package), &mut found);
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_generated = path.components().any(|part| {
            let part = part.as_os_str();
            part == "gen" || part == "target" || part == "node_modules" || part == "clients"
        });
        if is_generated {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            found.push(Source { name, lines });
        }
    }
}

fn is_test(name: &str) -> bool {
    let is_named_so = ["tests.rs", "races.rs", "tidy.rs"].iter().any(|end| name.ends_with(end));
    is_named_so || name.contains("/tests/") || name.contains("_tests/")
}

fn report(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let broken: Vec<_> = sources()
        .iter()
        .filter(|source| !is_test(&source.name))
        .filter(|source| !LONG_FILES.iter().any(|(name, _)| *name == source.name))
        .filter(|source| source.core().len() > MAX_FILE_LINES)
        .map(|source| format!("{}: {} lines", source.name, source.core().len()))
        .collect();
    report("files over the limit", &broken);
}

#[test]
fn no_function_is_too_long() {
    let mut broken = Vec::new();
    for source in sources() {
        for (name, line, length) in functions(&source.lines) {
            let place = format!("{}::{name}", source.name);
            let is_allowed = LONG_FUNCTIONS.iter().any(|(allowed, _)| *allowed == place);
            if length > MAX_FUNCTION_LINES && !is_allowed && !is_test(&source.name) {
                broken.push(format!("{place} at line {line}: {length} lines"));
            }
        }
    }
    report("functions over the limit", &broken);
}

/// Name, first line and length of every function, by the indentation that rustfmt keeps.
fn functions(lines: &[String]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else { continue };
        let words = ["pub", "async", "const", "unsafe", "pub(super)", "pub(crate)"];
        if !before.split_whitespace().all(|word| words.contains(&word)) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let is_end = |line: &&String| **line == end || line.starts_with(&format!("{end} "));
        let Some(length) = lines[at..].iter().position(|line| is_end(&line)) else { continue };
        let name = after.split(['(', '<']).next().unwrap_or("").to_owned();
        found.push((name, at + 1, length + 1));
    }
    found
}

#[test]
fn no_line_is_too_wide() {
    let mut broken = Vec::new();
    for source in sources() {
        for (at, line) in source.lines.iter().enumerate() {
            let is_ours = !is_test(&source.name) && at < source.core().len();
            if is_ours && line.chars().count() > MAX_COLUMNS && !source.skips_format(at) {
                broken.push(format!("{}:{}", source.name, at + 1));
            }
        }
    }
    report("lines over the limit", &broken);
}

impl Source {
    /// Whether a line stands in a table that rustfmt leaves alone, in prose for people, or holds
    /// a text, which rustfmt does not break.
    fn skips_format(&self, at: usize) -> bool {
        let line = &self.lines[at];
        let is_table = self.lines[..at].iter().any(|line| line.contains("rustfmt::skip"));
        is_table || line.trim_start().starts_with("//") || line.contains('"')
    }
}

#[test]
fn no_name_hides_what_it_means() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.name.ends_with("tidy.rs")) {
        for (at, line) in source.lines.iter().enumerate() {
            let mut text = line.to_lowercase();
            for (allowed, _) in BANNED_ALLOWED {
                text = text.replace(allowed, "");
            }
            let declares = ["fn ", "struct ", "enum ", "trait ", "mod ", "let ", "type "];
            for word in BANNED {
                if text.contains(word) && declares.iter().any(|keyword| text.contains(keyword)) {
                    broken.push(format!("{}:{}: {word}", source.name, at + 1));
                }
            }
        }
    }
    report("words that are not ours", &broken);
}

/// An exception whose reason is gone must go too.
#[test]
fn exceptions_are_still_needed() {
    let sources = sources();
    for (name, reason) in LONG_FILES {
        let source = sources.iter().find(|source| source.name == *name).expect(name);
        assert!(source.core().len() > MAX_FILE_LINES, "{name} no longer needs: {reason}");
    }
    for (place, reason) in LONG_FUNCTIONS {
        let (name, function) = place.rsplit_once("::").unwrap();
        let source = sources.iter().find(|source| source.name == name).expect(name);
        let is_long = functions(&source.lines)
            .iter()
            .any(|(own, _, length)| own == function && *length > MAX_FUNCTION_LINES);
        assert!(is_long, "{place} no longer needs: {reason}");
    }
}

#[test]
fn pages_name_only_commands_that_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let has = |target: &str| {
        makefile.lines().any(|line| line.strip_prefix(target).is_some_and(|r| r.starts_with(':')))
    };
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name));
    let mut broken = Vec::new();
    let mut named = 0;
    for page in pages.into_iter().chain(docs) {
        let text = fs::read_to_string(&page).unwrap();
        // A command stands after a backtick or begins a line; `make` in prose is a verb.
        let commands = text.split(['`', '\n']).filter_map(|part| part.strip_prefix("make "));
        for command in commands {
            let target = command.split([' ', '`', '.', ',']).next().unwrap_or_default();
            named += 1;
            if !has(target) {
                broken.push(format!("{}: make {target}", page.display()));
            }
        }
    }
    assert!(named > 5, "no commands were found");
    report("commands that the Makefile lacks", &broken);
}

/// An operator who makes the nodes' role by hand grants what the page names.
#[test]
fn what_nodes_may_call_is_documented() {
    let page = fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    let migrations = fs::read_dir(root().join("migrations")).unwrap();
    let texts = migrations.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let all = texts.collect::<String>();
    let granted = all.split("grant execute on function ").skip(1);
    let granted: Vec<_> = granted.filter_map(|rest| rest.split('(').next()).collect();
    assert!(granted.len() >= 5, "no grants were found");
    let is_absent = |name: &&str| !page.contains(&format!("`{name}`"));
    let absent: Vec<_> = granted.into_iter().filter(is_absent).map(str::to_owned).collect();
    report("functions of the nodes that docs/deployment.md does not name", &absent);
}

/// The failures that `docs/reliability.md` must list, F01 to this one.
const LAST_FAILURE: usize = 39;

#[test]
fn every_failure_is_listed_with_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let sources = sources();
    let lines = sources.iter().flat_map(|source| &source.lines);
    let declared: Vec<&str> = lines
        .filter_map(|line| line.split_once("fn "))
        .filter_map(|(_, rest)| rest.split(['(', '<']).next())
        .collect();
    let absent: Vec<String> =
        failure_tests(&page).filter(|name| !declared.contains(name)).map(str::to_owned).collect();
    report("tests that the page of failures names and that do not exist", &absent);

    let mut without = Vec::new();
    for number in 1..=LAST_FAILURE {
        let row = page.lines().find(|line| line.starts_with(&format!("| F{number:02} |")));
        let own = format!("f{number:02}_");
        if !row.is_some_and(|row| {
            row.contains("left for later") || failure_tests(row).any(|name| name.starts_with(&own))
        }) {
            without.push(format!("F{number:02}"));
        }
    }
    report("failures without a row, or with neither a test nor a word on when", &without);
}

/// The names of failures' tests in a text.
fn failure_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').filter(|word| is_failure_test(word))
}

/// Whether a word is the name of a failure's test, as `f04_all_pairs_of_nodes_down`.
fn is_failure_test(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is_numbered = bytes.len() > 4 && bytes[0] == b'f' && bytes[3] == b'_';
    is_numbered && bytes[1..3].iter().all(u8::is_ascii_digit)
}
