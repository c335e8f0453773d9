//! F13: the answer to a commit is lost.

use compat_tests::proxy::Loss;
use compat_tests::raw::Request;

use super::Cluster;

const BODY: &[u8] = &[7; 300_000];

impl Cluster {
    /// How often the key was written, by the number that each write takes under the key's lock.
    fn writes_of(&self, key: &str) -> String {
        let seq = format!("select seq from object where convert_from(key, 'UTF8') = '{key}'");
        self.server.metadata(&seq).trim().to_owned()
    }

    async fn put_losing(&self, key: &str, loss: Loss) -> u16 {
        self.proxy.lose_next("commit_v1(", loss);
        let put = Request::put(&format!("/rows/{key}")).body(BODY);
        let status = self.ask_spoiled(&put).await.status;
        assert!(self.proxy.lose_nothing() > 0, "{key}: no commit was seen");
        status
    }

    async fn check_whole(&self, key: &str) {
        let got = self.ask(Request::get(&format!("/rows/{key}"))).await.expect_status(200);
        assert!(got.body == BODY, "{key}: other bytes");
    }
}

/// Through another gateway: what was acknowledged is there once, what was refused is not there.
#[tokio::test(flavor = "multi_thread")]
async fn f13_a_put_whose_commit_loses_its_answer_is_there_once() {
    let cluster = Cluster::start().await;
    for (key, loss) in [("cut", Loss::Answer), ("silent", Loss::AnswerSilently)] {
        assert_eq!(cluster.put_losing(key, loss).await, 200, "{key}");
        assert_eq!(cluster.writes_of(key), "1", "{key}");
        cluster.check_whole(key).await;
    }

    assert_eq!(cluster.put_losing("never", Loss::Statement).await, 503);
    let never = cluster.ask(Request::get("/rows/never")).await;
    assert_eq!(never.outcome(), (404, "NoSuchKey".to_owned()));

    // Nobody can find out: an error, and the chunks are kept.
    cluster.proxy.lose_all("insert into body", Loss::Statement);
    assert_eq!(cluster.put_losing("unknown", Loss::Answer).await, 503);
    assert_eq!(cluster.writes_of("unknown"), "1");
    cluster.check_whole("unknown").await;
}
