//! Clients that upload in parts: parts that replace others, completions that are sent again,
//! uploads that are given up or forgotten.

use super::client::{Clients, Ended};
use super::gateway::Asked;
use super::history::{Requires, Writes};
use super::values::{Value, content, etags};
use bytes::Bytes;

impl Clients {
    /// An upload of one part, from its beginning to its end.
    pub(super) async fn upload(&self, key: usize) {
        let value = self.new_value();
        let Some(id) = self.begin(key, value).await else { return };
        let part = format!("/bucket/key-{key}?partNumber=1&uploadId={id}");
        if self.world.happens(30) {
            let other = content(value + 1_000_000);
            self.part(&part, other, "a part to be replaced").await;
        }
        let is_stored = self.part(&part, content(value), &format!("the part of {value}")).await;
        match self.world.below(10) {
            0 => {}
            1 => self.abort(key, &id).await,
            2..5 if is_stored => {
                // Another part of that number comes while it is completed.
                let other = content(value + 1_000_000);
                let replacing = self.part(&part, other, "a part that comes late");
                tokio::join!(self.complete(key, value, &id, true), replacing);
            }
            _ if is_stored => self.complete(key, value, &id, false).await,
            _ => {}
        }
    }

    async fn begin(&self, key: usize, value: Value) -> Option<String> {
        let asked = Asked {
            method: "POST",
            path: format!("/bucket/key-{key}?uploads"),
            headers: vec![("x-amz-meta-value", value.to_string())],
            ..Asked::default()
        };
        let ended = self.send(&format!("begins to upload {value} at {key}"), asked).await;
        let Ended::Answered(answer) = ended else { return None };
        answer.elements("UploadId").pop()
    }

    async fn part(&self, path: &str, body: Bytes, what: &str) -> bool {
        let asked = Asked { method: "PUT", path: path.to_owned(), body, ..Asked::default() };
        let ended = self.send(&format!("sends {what}"), asked).await;
        matches!(ended, Ended::Answered(answer) if answer.status == 200)
    }

    async fn abort(&self, key: usize, id: &str) {
        let path = format!("/bucket/key-{key}?uploadId={id}");
        let asked = Asked { method: "DELETE", path, ..Asked::default() };
        self.send(&format!("gives up an upload at {key}"), asked).await;
    }

    /// Completes, and may send the same once more: the answers must be the same.
    async fn complete(&self, key: usize, value: Value, id: &str, is_raced: bool) {
        let called = self.history.moment();
        let first = self.complete_once(key, value, id).await;
        let mut answered = first.then(|| self.history.moment());
        if !first && self.is_calm && !is_raced {
            self.world.wrong(format!("the completion of {value} failed although all is well"));
        }
        if answered.is_none() || self.world.happens(30) {
            self.world.sleep(0, 2000).await;
            let second = self.complete_once(key, value, id).await;
            if first && !second && self.is_calm {
                self.world.wrong("I9: a completion that is sent again is not answered again");
            }
            answered = answered.or_else(|| second.then(|| self.history.moment()));
        }
        let times = (called, answered);
        self.history.note(key, times, Requires::Nothing, Writes::This(Some(value)));
    }

    async fn complete_once(&self, key: usize, value: Value, id: &str) -> bool {
        let [part_tag, whole_tag] = etags(value);
        let body = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part_tag}</ETag></Part>\
             </CompleteMultipartUpload>"
        );
        let path = format!("/bucket/key-{key}?uploadId={id}");
        let asked = Asked { method: "POST", path, body: body.into(), ..Asked::default() };
        let ended = self.send(&format!("completes {value} at {key}"), asked).await;
        let Ended::Answered(answer) = ended else { return false };
        let tags = answer.elements("ETag");
        match (answer.status, tags.first()) {
            (200, Some(tag)) if tag.trim_matches('"') == whole_tag => true,
            (200, Some(tag)) => {
                self.world.wrong(format!("I2: the completion of {value} answers {tag}"));
                false
            }
            // Completed and forgotten, or expired: a client can't know.
            _ => false,
        }
    }
}
