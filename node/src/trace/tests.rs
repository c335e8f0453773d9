//! Spans of one process, as they leave it.

use super::{
    Part, Sampling, Span, TraceContext, TraceSettings, Tracer, context, current, span, within,
};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use std::pin::pin;
use tokio::sync::mpsc::Receiver;

fn settings(ratio: f64) -> TraceSettings {
    let sampling = Sampling { ratio, per_second: 1000 };
    TraceSettings { endpoint: "http://127.0.0.1:1".into(), service: "test".into(), sampling }
}

fn ended(spans: &mut Receiver<otlp::Span>) -> Vec<otlp::Span> {
    std::iter::from_fn(|| spans.try_recv().ok()).collect()
}

fn names(spans: &[otlp::Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn nothing_is_begun_where_nothing_is_recorded() {
    let off = Tracer::off();
    let (none, mut spans) = Tracer::received(&settings(0.0));
    let caller = format!("00-{}-{}-00", "1".repeat(32), "2".repeat(16));
    let requests = [
        off.request(None, [1; 16]),
        off.request(Some(&caller.replace("-00", "-01")), [1; 16]),
        off.served(TraceContext::parse(&caller.replace("-00", "-01")), "put"),
        none.request(None, [1; 16]),
        none.request(Some(&caller), [1; 16]),
        none.served(TraceContext::parse(&caller), "put"),
        none.served(None, "put"),
    ];
    for mut request in requests {
        let work = pin!(async {
            assert!(current().is_none() && context().is_none());
            let mut below = span(Part::Database, "commit");
            below.note(|_| panic!("an attribute is made for nobody"));
            assert!(below.parent().is_none());
        });
        within(request.parent(), work).await;
        request.note(|_| panic!("an attribute is made for nobody"));
        assert!(request.context().is_none());
    }
    drop(none);
    assert_eq!(ended(&mut spans), []);
    assert_eq!(size_of::<Span>(), size_of::<usize>(), "no larger than a pointer where it is none");
}

#[tokio::test]
async fn spans_stand_below_what_their_task_works_for() {
    let (tracer, mut spans) = Tracer::received(&settings(1.0));
    let mut request = tracer.request(None, [9; 16]);
    let inner = pin!(async {
        let extent = span(Part::Extent, "write extent");
        let call = pin!(async {
            let mut call = span(Part::Call, "put");
            call.failed("full");
            tokio::task::yield_now().await;
        });
        within(extent.parent(), call).await;
        drop(span(Part::Database, "commit"));
    });
    within(request.parent(), inner).await;
    assert!(current().is_none());
    request.rename("PutObject");
    request.note(|note| note.text("long", "é".repeat(1000)));
    request.answered();
    drop(request);
    let spans = ended(&mut spans);
    assert_eq!(names(&spans), ["put", "commit", "write extent", "PutObject"]);
    let [call, commit, extent, request] = &spans[..] else { panic!("four") };
    assert_eq!((&call.parent_span_id, &commit.parent_span_id), (&extent.span_id, &request.span_id));
    assert_eq!((&extent.parent_span_id, &request.parent_span_id), (&request.span_id, &vec![]));
    assert!(spans.iter().all(|span| span.trace_id == [9; 16]));
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    assert_eq!(call.status.as_ref().map(|status| status.code), Some(2));
    let of_commit = commit.attributes.iter().map(|attribute| attribute.key.as_str());
    assert_eq!(of_commit.collect::<Vec<_>>(), ["sixfold.given_up"]);
    let long = request.attributes[0].value.clone().unwrap();
    assert!(format!("{long:?}").len() < 300);
}

#[tokio::test]
async fn a_long_body_does_not_make_a_trace_without_end() {
    let (tracer, mut spans) = Tracer::received(&settings(1.0));
    let request = tracer.request(None, [9; 16]);
    let work = pin!(async {
        for _ in 0..5000 {
            drop(span(Part::Stripe, "receive stripe"));
        }
        drop(span(Part::Call, "put"));
        drop(span(Part::Database, "commit"));
    });
    within(request.parent(), work).await;
    drop(request);
    let spans = ended(&mut spans);
    assert_eq!(spans.len(), 99 + 3, "the first stripes, and what comes after them");
    let left_out = spans.last().unwrap().attributes.iter();
    let left_out = left_out.filter(|attribute| attribute.key == "sixfold.spans_left_out");
    assert!(format!("{:?}", left_out.collect::<Vec<_>>()).contains("4901"));
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_holds_nobody_up() {
    let (tracer, mut spans) = Tracer::received(&settings(1.0));
    for number in 0..5000_u128 {
        drop(tracer.served(Some(caller(number)), "put"));
    }
    assert_eq!(ended(&mut spans).len(), super::export::QUEUE_SPANS);
}

fn caller(number: u128) -> TraceContext {
    TraceContext { trace: (number + 1).to_be_bytes(), span: [1; 8], is_sampled: true }
}

/// A collector that can't be reached delays neither what is traced nor the end.
#[tokio::test]
async fn a_collector_that_is_away_is_not_waited_for() {
    let tracer = Tracer::start(Some(&settings(1.0)), "test").unwrap();
    for number in 0..100 {
        drop(tracer.served(Some(caller(number)), "put"));
    }
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, tracer.stop()).await.unwrap();
    // After the stop there is nowhere to go, and that is no error.
    drop(tracer.served(Some(caller(1)), "put"));
    tracer.stop().await;
}
