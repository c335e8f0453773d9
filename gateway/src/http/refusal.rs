//! An answer that the front gives itself, as S3 error XML.

use crate::xml::is_char;
use http::{HeaderValue, Response, StatusCode, header};
use s3s::Body;
use std::borrow::Cow;
use std::fmt::Write;

/// Why a request is refused before (or instead of) its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The S3 error code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// A sentence for the person who reads it.
    pub message: Cow<'static, str>,
    /// One more element that clients act on, as `Region` in `AuthorizationHeaderMalformed`.
    pub detail: Option<(&'static str, String)>,
    /// After how many seconds a client should try again.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// A refusal with a message.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code, status, message: message.into(), detail: None, retry_after: None }
    }

    /// 400 with a code.
    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `InvalidArgument`.
    pub fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("InvalidArgument", message)
    }

    /// 400 `InvalidRequest`.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request("InvalidRequest", message)
    }

    /// 403 `AccessDenied`.
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// 411 `MissingContentLength`.
    pub fn missing_content_length(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message)
    }

    /// 501 `NotImplemented`.
    pub fn not_implemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// 503 `SlowDown`: over a limit, come back in a second.
    pub fn slow_down() -> Self {
        let message = "Please reduce your request rate.";
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message);
        refusal.retry_after = Some(1);
        refusal
    }

    /// Adds an element to the error document.
    #[must_use]
    pub fn with_detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.detail = Some((name, value.into()));
        self
    }

    /// The response, still without the ids that every response gets.
    pub fn into_response(self) -> Response<Body> {
        let mut xml = String::with_capacity(256);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        push_element(&mut xml, "Code", self.code);
        push_element(&mut xml, "Message", &self.message);
        if let Some((name, value)) = &self.detail {
            push_element(&mut xml, name, value);
        }
        xml.push_str("</Error>");
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        // An answer to HEAD has no document; clients learn the region from here.
        if let Some(("Region", region)) = &self.detail
            && let Ok(region) = HeaderValue::from_str(region)
        {
            headers.insert("x-amz-bucket-region", region);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Appends `<name>value</name>`, the value escaped; control characters that XML 1.0 has no way
/// to say become U+FFFD.
pub(super) fn push_element(xml: &mut String, name: &str, value: &str) {
    let _ = write!(xml, "<{name}>");
    for character in value.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(character));
            }
            c if c.is_control() || !is_char(c) => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
    let _ = write!(xml, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::push_element;

    #[test]
    fn values_can_not_break_out_of_their_element() {
        let mut xml = String::new();
        push_element(&mut xml, "Resource", "/b/<k>&\"'\u{1b}[31m\n");
        assert_eq!(xml, "<Resource>/b/&lt;k&gt;&amp;&quot;&apos;\u{fffd}[31m&#10;</Resource>");
    }
}
