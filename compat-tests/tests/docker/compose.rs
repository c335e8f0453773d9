//! What docker/compose.yaml and docker/Dockerfile say, as values.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// How deep our files merge: a service, its kind, what all have.
const MERGES_AT_MOST: usize = 3;

/// A YAML file of the repository, its merge keys resolved.
pub(super) fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("no {path}"));
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).expect(path);
    // What is merged in may itself begin with a merge.
    (0..MERGES_AT_MOST).for_each(|_| value.apply_merge().expect(path));
    serde_json::to_value(value).expect(path)
}

/// The services by name.
pub(super) fn services(compose: &Value) -> &serde_json::Map<String, Value> {
    compose["services"].as_object().expect("services")
}

/// A list of texts, or nothing.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// The variables of a service.
pub(super) fn variables(service: &Value) -> BTreeMap<String, String> {
    let all = service["environment"].as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned())).collect()
}

/// What one stage of the Dockerfile leaves in its image.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// The image or stage that it begins with.
    pub(super) from: String,
    /// Its instructions, continued lines joined: the word, and what follows it.
    pub(super) instructions: Vec<(String, String)>,
}

impl Stage {
    /// What follows the last instruction of that name.
    pub(super) fn last(&self, word: &str) -> &str {
        let found = self.instructions.iter().rfind(|(name, _)| name == word);
        &found.unwrap_or_else(|| panic!("no {word} in {self:?}")).1
    }

    /// The list in brackets of the last instruction of that name.
    pub(super) fn list(&self, word: &str) -> Vec<String> {
        serde_json::from_str(self.last(word)).expect("a list in brackets")
    }

    /// The program and arguments that tell whether the container is well.
    pub(super) fn health_check(&self) -> Vec<String> {
        let (_, command) = self.last("HEALTHCHECK").split_once("CMD ").expect("a command");
        serde_json::from_str(command).expect("a list in brackets")
    }

    /// Its variables.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let all = self.instructions.iter().filter(|(name, _)| name == "ENV");
        let pairs = all.flat_map(|(_, text)| text.split_whitespace());
        pairs.map(|pair| pair.split_once('=').expect("NAME=VALUE")).map(owned).collect()
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The stages of docker/Dockerfile by name, what a stage has from the one that it begins with
/// included.
pub(super) fn stages() -> BTreeMap<String, Stage> {
    let text =
        std::fs::read_to_string(root().join("docker/Dockerfile")).expect("docker/Dockerfile");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let text = lines.join("\n").replace("\\\n", " ");
    let mut stages: BTreeMap<String, Stage> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (word, rest) = line.split_once(' ').expect("an instruction");
        if word == "FROM" {
            let (from, as_name) = rest.split_once(" AS ").expect("every stage has a name");
            let base = stages.get(from).cloned().unwrap_or_default();
            as_name.clone_into(&mut name);
            stages.insert(name.clone(), Stage { from: from.to_owned(), ..base });
            continue;
        }
        let stage = stages.get_mut(&name).expect("a stage");
        stage.instructions.push((word.to_owned(), rest.trim().to_owned()));
    }
    stages
}
