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
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let silent = Duration::from_secs(1);
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
async fn f25_clocks_are_compared_in_the_middle_of_the_call() {
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

#[tokio::test]
async fn a_lease_gives_way_and_is_kept_for_the_writes_under_it() {
    let meta: Arc<dyn Meta> = Arc::new(Model::new());
    let keep_changed = Duration::from_millis(100);
    let pace = LeasePace { renew_every: SOON, change_every: Duration::ZERO, keep_changed };
    let lease = Lease::begin(meta.clone(), "test", pace).await.unwrap();
    let first = lease.current();
    lease.turn().await.unwrap();
    let second = lease.current();
    assert_ne!(second, first, "writes begin under a new one");
    lease.turn().await.unwrap();
    meta.renew_lease(first, None).await.unwrap();
    tokio::time::sleep(keep_changed).await;
    lease.turn().await.unwrap();
    assert!(matches!(meta.renew_lease(first, None).await, Err(MetaError::LeaseEnded)));
    meta.renew_lease(lease.current(), None).await.unwrap();
    lease.end().await.unwrap();
    assert!(meta.end_expired_leases(Duration::ZERO, 10).await.unwrap().is_empty(), "all ended");
}
