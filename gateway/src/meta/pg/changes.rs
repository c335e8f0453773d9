//! Changes of the registry as PostgreSQL tells them, over a connection of their own: a pooler in
//! transaction mode would lose them.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::time::Duration;

/// What `register_node_v1` and the operator's functions notify.
const CHANNEL: &str = "sixfold_registry";

/// The pause before a lost connection is made anew. Whoever waits polls meanwhile.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) fn registry_changes(pool: &PgPool) -> BoxStream<'static, ()> {
    let options = (*pool.connect_options()).clone().application_name("sixfold listener");
    let own = PgPoolOptions::new().max_connections(1).acquire_timeout(PAUSE);
    let own = own.connect_lazy_with(options);
    stream::unfold((own, None::<PgListener>), |(own, listener)| async move {
        let mut listener = listener;
        loop {
            let Some(mut open) = listener else {
                listener = listen(&own).await;
                if listener.is_some() {
                    // What changed before is not told.
                    return Some(((), (own, listener)));
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // `None` when the connection was lost: it is opened anew, and something may be missed.
            match open.try_recv().await {
                Ok(_) => return Some(((), (own, Some(open)))),
                Err(error) => tracing::debug!("changes of the registry are not heard: {error}"),
            }
            listener = None;
        }
    })
    .boxed()
}

async fn listen(pool: &PgPool) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}
