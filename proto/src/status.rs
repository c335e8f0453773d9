//! [`NodeError`] as a gRPC status or as the failure of a short call, and back: the one place that
//! knows them.
//!
//! The status carries the error's code in its metadata, because several errors share a gRPC
//! code. A status without it was made by the transport or by another version and is read by
//! its gRPC code alone.

use crate::chunks::NodeError;
use crate::node_v1::Failure;
use std::error::Error;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

/// The metadata key of the error's own code.
pub const ERROR_METADATA_KEY: &str = "sixfold-error";

/// The most bytes of an error's text that travel: headers have limits.
const MAX_TEXT_BYTES: usize = 512;

/// The code and the gRPC code of each error.
fn codes(error: &NodeError) -> (&'static str, Code) {
    match error {
        NodeError::NotFound => ("not-found", Code::NotFound),
        NodeError::Damaged(_) => ("damaged", Code::DataLoss),
        NodeError::Full => ("full", Code::ResourceExhausted),
        NodeError::Fenced => ("fenced", Code::FailedPrecondition),
        NodeError::Draining => ("draining", Code::FailedPrecondition),
        NodeError::WrongNode(_) => ("wrong-node", Code::FailedPrecondition),
        NodeError::Conflict => ("conflict", Code::AlreadyExists),
        NodeError::OtherCopy => ("other-copy", Code::Aborted),
        NodeError::Invalid(_) => ("invalid", Code::InvalidArgument),
        NodeError::Unauthenticated => ("unauthenticated", Code::Unauthenticated),
        NodeError::Unavailable(_) => ("unavailable", Code::Unavailable),
    }
}

/// The code of an error, which says nothing of what it was about.
pub fn error_name(error: &NodeError) -> &'static str {
    codes(error).0
}

impl From<NodeError> for Status {
    fn from(error: NodeError) -> Self {
        let (name, code) = codes(&error);
        let mut metadata = MetadataMap::new();
        metadata.insert(ERROR_METADATA_KEY, AsciiMetadataValue::from_static(name));
        Status::with_metadata(code, text_of(error), metadata)
    }
}

impl From<Status> for NodeError {
    fn from(status: Status) -> Self {
        let name = status.metadata().get(ERROR_METADATA_KEY);
        let name = name.and_then(|name| name.to_str().ok());
        let error = name.and_then(|name| named(name, status.message()));
        error.unwrap_or_else(|| from_transport(&status))
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let (name, _) = codes(&error);
        Self { code: name.to_owned(), text: text_of(error) }
    }
}

impl From<Failure> for NodeError {
    fn from(failure: Failure) -> Self {
        let Failure { code, text } = failure;
        // A later version's error: that the call failed is all that is known.
        named(&code, &text).unwrap_or_else(|| NodeError::Unavailable(format!("{code}: {text}")))
    }
}

/// What travels of an error's text.
fn text_of(error: NodeError) -> String {
    match error {
        NodeError::Damaged(text)
        | NodeError::WrongNode(text)
        | NodeError::Invalid(text)
        | NodeError::Unavailable(text) => shortened(text),
        plain => plain.to_string(),
    }
}

/// The error with this code of its own.
fn named(name: &str, text: &str) -> Option<NodeError> {
    let text = || text.to_owned();
    Some(match name {
        "not-found" => NodeError::NotFound,
        "damaged" => NodeError::Damaged(text()),
        "full" => NodeError::Full,
        "fenced" => NodeError::Fenced,
        "draining" => NodeError::Draining,
        "wrong-node" => NodeError::WrongNode(text()),
        "conflict" => NodeError::Conflict,
        "other-copy" => NodeError::OtherCopy,
        "invalid" => NodeError::Invalid(text()),
        "unauthenticated" => NodeError::Unauthenticated,
        "unavailable" => NodeError::Unavailable(text()),
        _ => return None,
    })
}

/// A status that no node of this version made. "Not found" is not believed here: only a node
/// that says so itself has looked.
fn from_transport(status: &Status) -> NodeError {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => NodeError::Unauthenticated,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => {
            NodeError::Invalid(status.message().to_owned())
        }
        code => {
            let text = format!("{code:?}: {}{}", status.message(), causes(status));
            NodeError::Unavailable(shortened(text))
        }
    }
}

/// What stands behind a failure of the transport, as in ": invalid peer certificate: …".
fn causes(status: &Status) -> String {
    let mut text = String::new();
    let mut cause = status.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_error() -> impl Strategy<Value = NodeError> {
        let text = "\\PC{0,40}";
        prop_oneof![
            Just(NodeError::NotFound),
            text.prop_map(NodeError::Damaged),
            Just(NodeError::Full),
            Just(NodeError::Fenced),
            Just(NodeError::Draining),
            text.prop_map(NodeError::WrongNode),
            Just(NodeError::Conflict),
            Just(NodeError::OtherCopy),
            text.prop_map(NodeError::Invalid),
            Just(NodeError::Unauthenticated),
            text.prop_map(NodeError::Unavailable),
        ]
    }

    proptest! {
        #[test]
        fn every_error_round_trips(error in any_error()) {
            prop_assert_eq!(NodeError::from(Status::from(error.clone())), error.clone());
            prop_assert_eq!(NodeError::from(Failure::from(error.clone())), error.clone());
            // And through real headers, as it travels.
            let mut headers = tonic::codegen::http::HeaderMap::new();
            Status::from(error.clone()).add_header(&mut headers).unwrap();
            let back = Status::from_header_map(&headers).unwrap();
            prop_assert_eq!(NodeError::from(back), error);
        }
    }

    #[test]
    fn a_status_of_the_transport_is_read_by_its_code() {
        let read = |code| NodeError::from(Status::new(code, "x"));
        assert!(matches!(read(Code::Unavailable), NodeError::Unavailable(_)));
        assert!(matches!(read(Code::DeadlineExceeded), NodeError::Unavailable(_)));
        assert!(matches!(read(Code::NotFound), NodeError::Unavailable(_)));
        assert!(matches!(read(Code::Unimplemented), NodeError::Invalid(_)));
        assert_eq!(read(Code::Unauthenticated), NodeError::Unauthenticated);
    }

    #[test]
    fn a_failure_of_another_version_is_one() {
        let failure = Failure { code: "tired".to_owned(), text: "later".to_owned() };
        assert_eq!(NodeError::from(failure), NodeError::Unavailable("tired: later".to_owned()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let status = Status::from(NodeError::Damaged("ü".repeat(2000)));
        assert!(status.message().len() <= MAX_TEXT_BYTES);
        let failure = Failure::from(NodeError::Invalid("ü".repeat(2000)));
        assert!(failure.text.len() <= MAX_TEXT_BYTES);
    }
}
