//! The lease over the model.

use super::*;
use crate::meta::model::Model;

const SOON: Duration = Duration::from_millis(10);

async fn begin() -> (Arc<dyn Meta>, Arc<Lease>) {
    let meta: Arc<dyn Meta> = Arc::new(Model::new());
    let lease = Lease::begin(meta.clone(), "test", SOON).await.unwrap();
    (meta, lease)
}

#[tokio::test]
async fn a_kept_lease_outlives_those_who_look_for_silent_ones() {
    let (meta, lease) = begin().await;
    let (first, stop) = (lease.current(), CancellationToken::new());
    let keeper = tokio::spawn({
        let (lease, stop) = (lease.clone(), stop.clone());
        async move { lease.keep(&stop).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let silent = Duration::from_millis(200);
    assert_eq!(meta.end_expired_leases(silent, 10).await.unwrap(), []);
    assert_eq!(lease.current(), first);
    stop.cancel();
    keeper.await.unwrap();
    lease.end().await.unwrap();
    assert!(matches!(meta.renew_lease(first, None).await, Err(MetaError::LeaseEnded)));
}

#[tokio::test]
async fn an_ended_lease_is_replaced() {
    let (meta, lease) = begin().await;
    let first = lease.current();
    meta.end_lease(first).await.unwrap();
    lease.renew().await.unwrap();
    assert_ne!(lease.current(), first);
    meta.renew_lease(lease.current(), None).await.unwrap();
}

#[tokio::test]
async fn clocks_are_compared_in_the_middle_of_the_call() {
    let (_, lease) = begin().await;
    assert_eq!(lease.clock_state(), ClockState::Fine);
    let now = OffsetDateTime::now_utc();
    for (behind, state) in [
        (time::Duration::seconds(59), ClockState::Fine),
        (time::Duration::seconds(60), ClockState::Off),
        (time::Duration::minutes(-9), ClockState::Off),
        (time::Duration::minutes(10), ClockState::Unusable),
        (time::Duration::minutes(-10), ClockState::Unusable),
    ] {
        let second = time::Duration::seconds(1);
        lease.compare_clocks(now - second, now - behind, now + second);
        assert_eq!(lease.clock_state(), state, "{behind}");
        assert_eq!(lease.clock_ahead(), behind);
    }
}
