use super::{AnswerBody, PIECE_BYTES};
use crate::http::body::Fate;
use crate::http::record::RequestRecord;
use crate::http::response::{Completed, Kept, LoggedBody};
use crate::http::target::Target;
use crate::pressure::Pressure;
use crate::telemetry::trace::Span;
use bytes::Bytes;
use futures::stream;
use http::{Method, Response, Version};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use s3s::{Body, StdError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const LEAST: u64 = 16 * 1024;

/// An answer of three frames, which holds the only place there is.
fn answer(version: Version, places: &Arc<Semaphore>, pressure: &Pressure) -> AnswerBody {
    let target = Target { bucket: Some("b".to_owned()), key: Some("k".to_owned()) };
    let record = Arc::new(RequestRecord::new(Method::GET, target));
    let frames = (0..3).map(|number| Ok::<_, StdError>(Frame::data(frame(number))));
    let body = Body::http_body_unsync(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())));
    let completed = Completed { response: Response::new(body), error_code: None };
    let kept = Kept {
        metrics: Arc::default(),
        fate: Fate::default(),
        slow_after: Duration::MAX,
        permit: Some(Arc::clone(places).try_acquire_owned().unwrap()),
        span: Span::none(),
    };
    let body = LoggedBody::wrap(completed, record, kept).into_body();
    AnswerBody::new(body, version, pressure)
}

fn frame(number: u8) -> Bytes {
    vec![number; 2 * PIECE_BYTES + usize::from(number)].into()
}

fn set_up() -> (Arc<Semaphore>, Pressure) {
    (Arc::new(Semaphore::new(1)), Pressure::new(LEAST))
}

#[tokio::test(start_paused = true)]
async fn f30_a_stream_that_takes_nothing_keeps_what_it_holds_until_others_wait() {
    let (places, pressure) = set_up();
    let mut body = answer(Version::HTTP_2, &places, &pressure);
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.len(), PIECE_BYTES);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(places.available_permits(), 0, "nobody waits");
    pressure.ask();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(places.available_permits(), 1);
    assert!(body.frame().await.unwrap().is_err(), "never an end that looks whole");
}

/// One whose window is closed from the beginning is asked for nothing at all.
#[tokio::test(start_paused = true)]
async fn f30_a_stream_that_never_begins_gives_way() {
    let (places, pressure) = set_up();
    let _body = answer(Version::HTTP_2, &places, &pressure);
    pressure.ask();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn f30_a_stream_that_is_fast_enough_stays() {
    let (places, pressure) = set_up();
    let mut body = answer(Version::HTTP_2, &places, &pressure);
    let mut taken = Vec::new();
    while let Some(piece) = body.frame().await {
        taken.extend_from_slice(&piece.unwrap().into_data().unwrap());
        pressure.ask();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(taken, (0..3).flat_map(frame).collect::<Vec<_>>());
}

#[tokio::test]
async fn pieces_are_counted_until_the_last() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (places, pressure) = set_up();
        let mut body = answer(version, &places, &pressure);
        assert!(!body.is_end_stream());
        let is_watched = matches!(body, AnswerBody::Watched(_));
        assert_eq!(is_watched, version == Version::HTTP_2);
        body.frame().await.unwrap().unwrap();
        let left = if is_watched { PIECE_BYTES as u64 } else { 0 };
        assert!(body.size_hint().lower() >= left);
        drop(body);
        assert_eq!(places.available_permits(), 1);
    }
}
