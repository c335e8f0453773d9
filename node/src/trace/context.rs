//! Where a span stands, as the header `traceparent` says it (W3C Trace Context, version 00).

/// A trace, in all processes.
pub type TraceId = [u8; 16];

/// A span of a trace.
pub type SpanId = [u8; 8];

/// A span as other processes know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether it is recorded.
    pub is_sampled: bool,
}

/// The flag of a recorded span.
const SAMPLED: u8 = 1;

/// A trace and a span, as short calls carry them.
const SHORT_BYTES: usize = 24;

impl TraceContext {
    /// Reads the header. `None`: it is not one, and W3C says to go on as if there were none.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.splitn(5, '-');
        let [version] = hex_bytes::<1>(parts.next()?)?;
        let (trace, span) = (hex_bytes(parts.next()?)?, hex_bytes(parts.next()?)?);
        let [flags] = hex_bytes::<1>(parts.next()?)?;
        // A later version may have more behind it.
        let has_more = parts.next().is_some();
        let is_known = version != 0xff && !(version == 0 && has_more);
        let context = Self { trace, span, is_sampled: flags & SAMPLED != 0 };
        context.is_valid().then_some(context).filter(|_| is_known)
    }

    /// The header.
    pub fn header(&self) -> String {
        let flags = u8::from(self.is_sampled) * SAMPLED;
        format!("00-{}-{}-{flags:02x}", hex::encode(self.trace), hex::encode(self.span))
    }

    /// A recorded span as short calls carry it.
    pub fn to_short(self) -> Vec<u8> {
        [&self.trace[..], &self.span].concat()
    }

    /// Reads that.
    pub fn of_short(bytes: &[u8]) -> Option<Self> {
        let (trace, span) = bytes.split_at_checked(size_of::<TraceId>())?;
        let (trace, span) = (trace.try_into().ok()?, span.try_into().ok()?);
        let context = Self { trace, span, is_sampled: true };
        (bytes.len() == SHORT_BYTES && context.is_valid()).then_some(context)
    }

    /// Ids of zeros are none.
    fn is_valid(&self) -> bool {
        self.trace != TraceId::default() && self.span != SpanId::default()
    }
}

/// Exactly so many bytes in lower-case digits.
fn hex_bytes<const COUNT: usize>(text: &str) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::TraceContext;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn headers_are_read_as_the_standard_has_them() {
        let sampled = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(
            (hex::encode(sampled.trace), hex::encode(sampled.span)),
            (TRACE.into(), SPAN.into())
        );
        assert!(sampled.is_sampled);
        assert!(!TraceContext::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled);
        assert!(!TraceContext::parse(&format!("00-{TRACE}-{SPAN}-fe")).unwrap().is_sampled);
        let later = format!("cc-{TRACE}-{SPAN}-01-what-comes-later");
        assert_eq!(TraceContext::parse(&later), Some(sampled));
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}é-{SPAN}-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(TraceContext::parse(&wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace: [u8; 16], span: [u8; 8], is_sampled: bool) {
            prop_assume!(trace != [0; 16] && span != [0; 8]);
            let context = TraceContext { trace, span, is_sampled };
            prop_assert_eq!(TraceContext::parse(&context.header()), Some(context));
            let short = TraceContext { is_sampled: true, ..context };
            prop_assert_eq!(TraceContext::of_short(&short.to_short()), Some(short));
        }

        #[test]
        fn nothing_breaks_it(text in ".{0,80}", bytes: Vec<u8>) {
            let read = TraceContext::parse(&text);
            prop_assert!(read.is_none_or(|read| text.contains(&hex::encode(read.trace))));
            prop_assert!(TraceContext::of_short(&bytes).is_none() || bytes.len() == 24);
        }
    }
}
