//! F12 and F13 between real processes: a gateway whose way to PostgreSQL is spoiled by a proxy, beside
//! one whose way is good and that shows what really happened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod answer_lost;
mod away;
mod operations;
mod statements;

use std::time::Duration;

use compat_tests::cluster::{Form, Gateway, Plan, Server};
use compat_tests::proxy::Proxy;
use compat_tests::raw::{Answer, Request};

/// Promised: an answer, whatever the database does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A cluster with a gateway that reaches the database through a proxy.
struct Cluster {
    // Ends first: it ends its lease in the database.
    spoiled: Gateway,
    proxy: Proxy,
    server: Server,
}

impl Cluster {
    /// One whose spoiled gateway has little to do besides requests.
    async fn start() -> Self {
        let server = tokio::task::block_in_place(|| Plan::new(Form::Separate).start());
        let proxy = Proxy::to_postgres_of(&server).await;
        let url = proxy.database_url();
        let jobs = ["COLLECT", "EXPIRE", "SWEEP", "HEAL", "REBALANCE"];
        let jobs = jobs.map(|job| format!("SIXFOLD_{job}_EVERY"));
        let mut environment: Vec<_> = jobs.iter().map(|name| (name.as_str(), "1h")).collect();
        environment.push(("DATABASE_URL", &url));
        let spoiled = tokio::task::block_in_place(|| Gateway::beside_with(&server, &environment));
        let cluster = Self { spoiled, proxy, server };
        cluster.ask(Request::put("/rows")).await.expect_status(200);
        cluster
    }

    /// What the gateway with the good way answers.
    async fn ask(&self, request: Request) -> Answer {
        let wire = request.sign(&self.server.signer(), self.server.address());
        wire.send(self.server.address()).await
    }

    /// What the other one answers.
    async fn ask_spoiled(&self, request: &Request) -> Answer {
        let wire = request.sign(&self.server.signer(), self.spoiled.address());
        wire.send(self.spoiled.address()).await
    }

    /// Asks until there is an answer that is no 503: the pool recovers within 10 s.
    async fn ask_until_served(&self, request: &Request) -> Answer {
        for _ in 0..600 {
            let answer = self.ask_spoiled(request).await;
            if status_of(&answer) != 503 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no recovery of the gateway");
    }
}

/// The status of an answer; a completion that takes long says 200 first and what came of it then.
fn status_of(answer: &Answer) -> u16 {
    match answer.code().as_str() {
        "ServiceUnavailable" | "SlowDown" => 503,
        _ => answer.status,
    }
}
