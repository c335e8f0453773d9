//! Random sequences of operations: PostgreSQL answers what the model answers.

use super::fixture::{Fixture, body, content, part, query};
use crate::meta::model::Model;
use crate::meta::testing::fresh_database;
use crate::meta::types::{
    BodyId, BodySource, Commit, Completion, ListQuery, UploadId, Version, VersionId, Versioning,
    WriteCondition,
};
use crate::meta::{Meta, Result};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeMap;
use std::fmt::Write;
use uuid::Uuid;

/// Enough to have found each difference that there was; a case costs about 50 ms.
const CASES: u32 = 24;

const KEYS: [&str; 5] = ["a", "a/b", "a/c", "b", "b/"];

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: usize,
        etag: u8,
        condition: usize,
    },
    Copy {
        from: usize,
        to: usize,
    },
    Delete {
        key: usize,
        version: Option<usize>,
    },
    Tag {
        key: usize,
        version: Option<usize>,
        value: u8,
    },
    SetVersioning(bool),
    List {
        prefix: usize,
        delimiter: bool,
        after: Option<usize>,
        limit: usize,
    },
    ListVersions {
        prefix: usize,
        delimiter: bool,
        after: Option<usize>,
        version: bool,
        limit: usize,
    },
    StartUpload {
        key: usize,
    },
    PutPart {
        upload: usize,
        number: u16,
        etag: u8,
    },
    Complete {
        upload: usize,
        parts: Vec<(u16, u8)>,
    },
    Abort {
        upload: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS.len();
    let after = || proptest::option::of(0..KEYS.len());
    prop_oneof![
        6 => (key(), 0..3_u8, 0..6_usize)
            .prop_map(|(key, etag, condition)| Step::Put { key, etag, condition }),
        2 => (key(), key()).prop_map(|(from, to)| Step::Copy { from, to }),
        4 => (key(), proptest::option::of(0..6_usize))
            .prop_map(|(key, version)| Step::Delete { key, version }),
        2 => (key(), proptest::option::of(0..4_usize), 0..3_u8)
            .prop_map(|(key, version, value)| Step::Tag { key, version, value }),
        1 => any::<bool>().prop_map(Step::SetVersioning),
        2 => (0..4_usize, any::<bool>(), after(), 0..5_usize).prop_map(
            |(prefix, delimiter, after, limit)| Step::List { prefix, delimiter, after, limit }),
        2 => (0..4_usize, any::<bool>(), after(), any::<bool>(), 0..5_usize).prop_map(
            |(prefix, delimiter, after, version, limit)| {
                Step::ListVersions { prefix, delimiter, after, version, limit }
            }),
        1 => key().prop_map(|key| Step::StartUpload { key }),
        3 => (0..3_usize, 1..4_u16, 0..2_u8)
            .prop_map(|(upload, number, etag)| Step::PutPart { upload, number, etag }),
        2 => (0..3_usize, proptest::sample::subsequence(vec![1_u16, 2, 3], 1..=2), 0..2_u8)
            .prop_map(|(upload, numbers, etag)| Step::Complete {
                upload,
                parts: numbers.into_iter().map(|number| (number, etag)).collect(),
            }),
        1 => Just(()).prop_flat_map(|()| 0..3_usize).prop_map(|upload| Step::Abort { upload }),
    ]
}

/// One run of a sequence. Random ids are named by the order in which they appear, so that two
/// runs can be compared.
struct Run<'a> {
    fixture: Fixture<'a>,
    names: BTreeMap<Uuid, usize>,
    /// The versions of each key in the order in which they were made.
    versions: BTreeMap<usize, Vec<VersionId>>,
    uploads: Vec<(usize, UploadId)>,
    trace: String,
}

impl<'a> Run<'a> {
    async fn new(meta: &'a dyn Meta) -> Self {
        let fixture = Fixture::new(meta).await;
        Self {
            fixture,
            names: BTreeMap::new(),
            versions: BTreeMap::new(),
            uploads: Vec::new(),
            trace: String::new(),
        }
    }

    fn name(&mut self, id: Uuid) -> usize {
        let next = self.names.len();
        *self.names.entry(id).or_insert(next)
    }

    fn version_name(&mut self, version: VersionId) -> String {
        match version {
            VersionId::Null => "null".to_owned(),
            VersionId::Id(id) => format!("v{}", self.name(id)),
        }
    }

    /// The answer without times and with ids named.
    fn note(&mut self, what: &str, answer: &str) {
        let mut answer = answer.to_owned();
        while let Some(at) = answer.find("modified: ") {
            let end = answer[at..].find([',', '}']).map_or(answer.len(), |length| at + length);
            answer.replace_range(at..end, "");
        }
        let ids: Vec<_> = answer
            .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
            .filter(|word| word.len() == 36)
            .filter_map(|word| Uuid::parse_str(word).ok())
            .collect();
        for id in ids {
            let name = format!("#{}", self.name(id));
            answer = answer.replace(&id.to_string(), &name);
        }
        writeln!(self.trace, "{what}: {answer}").unwrap();
    }

    fn seen(&mut self, key: usize, version: VersionId) {
        self.versions.entry(key).or_default().push(version);
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Put { key, etag, condition } => self.put(*key, *etag, *condition).await,
            Step::Copy { from, to } => self.copy(*from, *to).await,
            Step::Delete { key, version } => self.delete(*key, *version).await,
            Step::Tag { key, version, value } => self.tag(*key, *version, *value).await,
            Step::SetVersioning(enabled) => {
                let state = if *enabled { Versioning::Enabled } else { Versioning::Suspended };
                self.fixture.set_versioning(state).await;
            }
            Step::List { prefix, delimiter, after, limit } => {
                let query = list_query(*prefix, *delimiter, *after, *limit);
                let page = self.fixture.meta.list_objects(self.fixture.bucket.id, &query).await;
                let page = page.unwrap();
                self.note_page(
                    &page.entries,
                    &format!("{:?} {}", page.prefixes, page.is_truncated),
                );
            }
            Step::ListVersions { prefix, delimiter, after, version, limit } => {
                let query = list_query(*prefix, *delimiter, *after, *limit);
                let version = after.filter(|_| *version).map(|key| self.version_of(key, 1));
                let meta = self.fixture.meta;
                let page = meta.list_versions(self.fixture.bucket.id, &query, version).await;
                let page = page.unwrap();
                self.note_page(
                    &page.entries,
                    &format!("{:?} {}", page.prefixes, page.is_truncated),
                );
            }
            Step::StartUpload { key } => {
                let upload = self.fixture.start_upload(KEYS[*key]).await;
                self.uploads.push((*key, upload));
            }
            Step::PutPart { upload, number, etag } => self.put_part(*upload, *number, *etag).await,
            Step::Complete { upload, parts } => self.complete(*upload, parts).await,
            Step::Abort { upload } => {
                let Some((key, id)) = self.upload(*upload) else { return };
                let bucket = self.fixture.bucket.id;
                let answer = self.fixture.meta.abort_upload(bucket, KEYS[key], id).await;
                self.note("abort", &format!("{answer:?}"));
            }
        }
    }

    async fn put(&mut self, key: usize, etag: u8, condition: usize) {
        let condition = match condition {
            0 => WriteCondition { if_none_match: Some("*".to_owned()), if_match: None },
            1 => WriteCondition { if_match: Some("e1".to_owned()), if_none_match: None },
            _ => WriteCondition::default(),
        };
        let commit = Commit { condition, ..self.fixture.commit(KEYS[key], &format!("e{etag}")) };
        let answer = self.fixture.meta.commit(commit).await;
        self.committed(key, &format!("put {key}"), answer);
    }

    fn committed(
        &mut self,
        key: usize,
        what: &str,
        answer: Result<crate::meta::types::CommitOutcome>,
    ) {
        if let Ok(crate::meta::types::CommitOutcome::Done { version, .. }) = &answer {
            self.seen(key, *version);
        }
        self.note(what, &format!("{answer:?}"));
    }

    async fn body_of(&self, key: usize) -> Option<BodyId> {
        let found = self.fixture.meta.find("bucket", KEYS[key], None).await.unwrap();
        found.version.and_then(|version| version.body)
    }

    async fn copy(&mut self, from: usize, to: usize) {
        let Some(body) = self.body_of(from).await else { return };
        let commit = Commit {
            body: BodySource::Shared(body),
            content: content(100, "copy"),
            ..self.fixture.commit(KEYS[to], "")
        };
        let answer = self.fixture.meta.commit(commit).await;
        self.committed(to, &format!("copy {from} {to}"), answer);
    }

    fn version_of(&self, key: usize, back: usize) -> VersionId {
        let versions = self.versions.get(&key).map(Vec::as_slice).unwrap_or_default();
        versions.iter().rev().nth(back).copied().unwrap_or(VersionId::Null)
    }

    async fn delete(&mut self, key: usize, version: Option<usize>) {
        let version = version.map(|back| self.version_of(key, back));
        let bucket = &self.fixture.bucket;
        let answer = self.fixture.meta.delete(bucket, KEYS[key], version, None).await;
        if let Ok(crate::meta::types::DeleteOutcome::MarkerAdded { version }) = &answer {
            self.seen(key, *version);
        }
        self.note(&format!("delete {key}"), &format!("{answer:?}"));
    }

    async fn tag(&mut self, key: usize, version: Option<usize>, value: u8) {
        let version = version.map(|back| self.version_of(key, back));
        let tags = [("k".to_owned(), value.to_string())].into();
        let bucket = self.fixture.bucket.id;
        let answer = self.fixture.meta.set_tags(bucket, KEYS[key], version, &tags).await;
        self.note(&format!("tag {key}"), &format!("{answer:?}"));
    }

    fn upload(&self, upload: usize) -> Option<(usize, UploadId)> {
        self.uploads.iter().rev().nth(upload).copied()
    }

    async fn put_part(&mut self, upload: usize, number: u16, etag: u8) {
        let Some((_, id)) = self.upload(upload) else { return };
        let size = u64::from(number) * 10;
        let new = body(self.fixture.lease, &[size]);
        let part = part(number, &format!("p{etag}"), size);
        let lease = self.fixture.lease;
        let answer = self.fixture.meta.commit_part(lease, id, part, Some(new)).await;
        self.note("part", &format!("{answer:?}"));
    }

    async fn complete(&mut self, upload: usize, parts: &[(u16, u8)]) {
        let Some((key, id)) = self.upload(upload) else { return };
        let size = parts.iter().map(|(number, _)| u64::from(*number) * 10).sum();
        let list: Vec<_> =
            parts.iter().map(|(number, etag)| (*number, format!("p{etag}"))).collect();
        let completion =
            Completion { parts: list, ..self.fixture.completion(id, KEYS[key], &[], size) };
        let answer = self.fixture.meta.complete(completion).await;
        if let Ok(crate::meta::types::CompleteOutcome::Done { version, .. }) = &answer {
            self.seen(key, *version);
        }
        self.note("complete", &format!("{answer:?}"));
    }

    fn note_page(&mut self, versions: &[Version], rest: &str) {
        let mut entries = String::new();
        for version in versions {
            let name = self.version_name(version.version);
            let etag = version.content.as_ref().map(|content| content.etag.as_str());
            let current = version.is_current;
            write!(entries, "{} {name} {} {etag:?} {current}; ", version.key, version.seq).unwrap();
        }
        self.note("list", &format!("{entries}{rest}"));
    }

    /// Everything there is at the end, down to the extents and the freed bodies' count.
    async fn finish(mut self) -> String {
        let everything = query("", None, 1000);
        let bucket = self.fixture.bucket.id;
        let page = self.fixture.meta.list_versions(bucket, &everything, None).await.unwrap();
        self.note_page(&page.entries, "");
        for version in &page.entries {
            let id = Some(version.version);
            let found = self.fixture.meta.find("bucket", &version.key, id).await.unwrap();
            let extents: Vec<_> =
                found.extents.iter().map(|extent| (extent.start, extent.size)).collect();
            let content = found.version.and_then(|version| version.content);
            let tags = content.map(|content| content.tags);
            self.note(&version.key, &format!("{extents:?} {tags:?}"));
        }
        let freed = self.fixture.freed().await.len();
        self.note("freed", &freed.to_string());
        self.trace
    }
}

fn list_query(prefix: usize, delimiter: bool, after: Option<usize>, limit: usize) -> ListQuery {
    ListQuery {
        after: after.map(|key| KEYS[key].to_owned()),
        ..query(["", "a", "a/", "b"][prefix], delimiter.then_some("/"), limit)
    }
}

async fn trace(meta: &dyn Meta, steps: &[Step]) -> String {
    let mut run = Run::new(meta).await;
    for step in steps {
        run.step(step).await;
    }
    run.finish().await
}

#[test]
fn postgres_answers_what_the_model_answers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(async {
                let database = fresh_database().await;
                let real = trace(&database.pg, &steps).await;
                database.pg.pool().close().await;
                let model = trace(&Model::new(), &steps).await;
                if real == model {
                    return Ok(());
                }
                Err(TestCaseError::fail(format!("PostgreSQL:\n{real}\nmodel:\n{model}")))
            })
        })
        .unwrap();
}
