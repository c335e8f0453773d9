//! What a request's document may be: one element that S3 knows, holding what S3 knows, and nothing
//! that a parser could choke on. Pure.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// S3's documents have at most `xmlns` and two more on an element.
const MAX_ATTRIBUTES: usize = 8;

/// The documents of requests. An operation more is a word more here.
const ROOTS: &[&str] = &[
    "CompleteMultipartUpload",
    "CreateBucketConfiguration",
    "Delete",
    "Tagging",
    "VersioningConfiguration",
];

/// What stands in an element that holds elements; all others hold text. That an element can't hold
/// itself bounds the depth of a document.
const CHILDREN: &[(&str, &[&str])] = &[
    ("Bucket", &["DataRedundancy", "Type"]),
    ("CompleteMultipartUpload", &["Part"]),
    ("CreateBucketConfiguration", &["Bucket", "Location", "LocationConstraint", "Tags"]),
    ("Delete", &["Object", "Quiet"]),
    ("Location", &["Name", "Type"]),
    ("Object", &["ETag", "Key", "LastModifiedTime", "Size", "VersionId"]),
    ("Part", PART),
    ("Tag", &["Key", "Value"]),
    ("TagSet", &["Tag"]),
    ("Tagging", &["TagSet"]),
    ("Tags", &["Tag"]),
    ("VersioningConfiguration", &["MfaDelete", "Status"]),
];

const PART: &[&str] = &[
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA1",
    "ChecksumSHA256",
    "ETag",
    "PartNumber",
];

/// Refuses what no client of S3 sends and what a parser could choke on or drop silently: unknown
/// elements, text between elements, a second document, document types, entities, CDATA,
/// attributes, encodings other than UTF-8.
pub(super) fn check_xml(document: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(document).map_err(|_| "not UTF-8")?;
    if text.contains('\0') || text.starts_with('\u{feff}') {
        return Err("not plain UTF-8");
    }
    let mut reader = Reader::from_str(text);
    let mut open: Vec<&'static str> = Vec::new();
    let mut has_root = false;
    loop {
        let event = reader.read_event().map_err(|_| "not well-formed")?;
        if let Event::Start(element) | Event::Empty(element) = &event {
            check_attributes(element)?;
            if open.is_empty() && has_root {
                return Err("more than one document");
            }
            has_root = true;
            let name = known(element, open.last().copied())?;
            if matches!(event, Event::Start(_)) {
                open.push(name);
            }
            continue;
        }
        match event {
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) if !text.trim_ascii().is_empty() => holds_text(&open)?,
            Event::GeneralRef(_) => holds_text(&open)?,
            Event::DocType(_) => return Err("document types are not allowed"),
            Event::CData(_) => return Err("CDATA is not allowed"),
            Event::Eof if !open.is_empty() || !has_root => return Err("not a whole document"),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// The name of an element, if it may stand there.
fn known(element: &BytesStart<'_>, parent: Option<&str>) -> Result<&'static str, &'static str> {
    let allowed = match parent {
        Some(parent) => children(parent).unwrap_or_default(),
        None => ROOTS,
    };
    let local = element.local_name();
    let found = allowed.iter().find(|name| ***name == *local.as_ref());
    found.copied().ok_or("an unknown element")
}

fn children(name: &str) -> Option<&'static [&'static str]> {
    Some(CHILDREN.iter().find(|row| row.0 == name)?.1)
}

fn holds_text(open: &[&'static str]) -> Result<(), &'static str> {
    if open.last().is_some_and(|name| children(name).is_none()) {
        return Ok(());
    }
    Err("text between elements")
}

fn check_attributes(element: &BytesStart<'_>) -> Result<(), &'static str> {
    let mut attributes = element.attributes();
    let count = attributes.with_checks(false).take(MAX_ATTRIBUTES + 1).count();
    if count > MAX_ATTRIBUTES {
        return Err("too many attributes");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
