//! How a line names the request that it was logged for: behind all that it says itself.

use super::request::OfRequest;
use std::fmt::{self, Write as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The field of a line that names its request itself.
const ID: &str = "request.id";

/// Lines as `F` writes them, with the request's id.
pub(super) struct Lines<F> {
    inner: F,
    is_json: bool,
}

impl<F> Lines<F> {
    /// Lines of text.
    pub(super) fn text(inner: F) -> Self {
        Self { inner, is_json: false }
    }

    /// Lines that are one JSON object each.
    pub(super) fn json(inner: F) -> Self {
        Self { inner, is_json: true }
    }
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let names_it = event.metadata().fields().field(ID).is_some();
        let Some(request) = OfRequest::current().filter(|_| !names_it) else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&named(&line, &request, self.is_json))
    }
}

/// The line with the request behind it. Pure; an id has no character that would have to be escaped.
fn named(line: &str, request: &OfRequest, is_json: bool) -> String {
    let trace = request.trace.map(hex::encode);
    let line = line.trim_end();
    let whole = line.strip_suffix('}').filter(|_| is_json);
    let mut named = whole.unwrap_or(line).to_owned();
    for (name, value) in [(ID, Some(&*request.id)), ("trace_id", trace.as_deref())] {
        let Some(value) = value else { continue };
        let _ = match whole {
            Some(_) => write!(named, ",\"{name}\":\"{value}\""),
            None => write!(named, " {name}={value}"),
        };
    }
    named.push_str(if whole.is_some() { "}\n" } else { "\n" });
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    async fn logged(subscriber: impl Subscriber + Send + Sync, kept: Kept) -> Vec<String> {
        let _guard = tracing::subscriber::set_default(subscriber);
        tracing::info!("before");
        let request = OfRequest { id: "7F".into(), trace: Some([0xab; 16]) };
        let work = async {
            tracing::info!(size_bytes = 3, "mean\"while");
            tracing::info!(request.id = "8", "of another");
        };
        request.within(work).await;
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn lines_of_json_name_their_request() {
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt().with_writer(kept.clone()).json().flatten_event(true);
        let lines = logged(lines.map_event_format(Lines::json).finish(), kept).await;
        let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        let [before, meanwhile, other]: [serde_json::Value; 3] =
            lines.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(before.get(ID), None);
        assert_eq!((&meanwhile[ID], &meanwhile["size_bytes"]), (&"7F".into(), &3.into()));
        assert_eq!(meanwhile["message"], "mean\"while");
        assert_eq!(meanwhile["trace_id"], "ab".repeat(16));
        assert_eq!((&other[ID], other.get("trace_id")), (&"8".into(), None));
    }

    #[tokio::test]
    async fn lines_of_text_name_their_request() {
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt().with_writer(kept.clone());
        let lines = lines.map_event_format(|format| Lines::text(format.with_ansi(false)));
        let lines = logged(lines.finish(), kept).await;
        assert!(lines[0].ends_with("before"), "{lines:?}");
        let end = format!("size_bytes=3 request.id=7F trace_id={}", "ab".repeat(16));
        assert!(lines[1].contains("mean\"while") && lines[1].ends_with(&end), "{lines:?}");
        assert!(lines[2].ends_with("of another request.id=\"8\""), "{lines:?}");
    }
}
