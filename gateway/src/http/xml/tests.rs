use super::{CHILDREN, check_xml};
use std::fmt::Write;
use std::time::{Duration, Instant};

const DELETE: &str = "<Delete><Object><Key>a&amp;b</Key></Object></Delete>";

#[test]
fn documents_of_s3_pass() {
    for document in [
        DELETE,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><Delete \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet/></Delete>",
        "<CreateBucketConfiguration/>",
        "<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint>\
         </CreateBucketConfiguration>\n",
        "<CompleteMultipartUpload><Part><ETag>&quot;x&quot;</ETag><PartNumber>1</PartNumber>\
         <ChecksumCRC64NVME>a</ChecksumCRC64NVME></Part></CompleteMultipartUpload>",
        "<s:Delete xmlns:s=\"u\"><s:Quiet>true</s:Quiet></s:Delete>",
        "<VersioningConfiguration><MfaDelete>Disabled</MfaDelete><Status>Enabled</Status>\
         </VersioningConfiguration>",
    ] {
        assert_eq!(check_xml(document.as_bytes()), Ok(()), "{document}");
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let mut attributes = String::from("<Delete");
    let mut spaces = String::from("<Delete");
    for index in 0..100_000 {
        let _ = write!(attributes, " a{index}=\"\"");
        let _ = write!(spaces, " xmlns:a{index}=\"u\"");
    }
    attributes.push_str("></Delete>");
    spaces.push_str("></Delete>");
    let utf16: Vec<u8> = DELETE.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>); 12] = [
        ("laughs", b"<!DOCTYPE a [<!ENTITY l \"lol\">]><Delete>&l;</Delete>".to_vec()),
        ("external", b"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Delete/>".to_vec()),
        ("depth", format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000)).into()),
        ("attributes", attributes.into()),
        ("namespaces", spaces.into()),
        ("utf16", utf16),
        ("bom", format!("\u{feff}{DELETE}").into()),
        ("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ("cdata", b"<Delete><![CDATA[x]]></Delete>".to_vec()),
        ("unclosed", b"<Delete><Object>".to_vec()),
        ("crossed", b"<Delete><Object></Delete></Object>".to_vec()),
        ("text", b"hello".to_vec()),
    ];
    for (name, document) in cases {
        let started = Instant::now();
        assert!(check_xml(&document).is_err(), "{name}");
        assert!(started.elapsed() < Duration::from_secs(30), "{name}: {:?}", started.elapsed());
    }
}

/// What s3s would drop silently.
#[test]
fn nothing_unknown_is_dropped() {
    for document in [
        "<Delete><Foo/><Object><Key>k</Key></Object></Delete>",
        "<Delete><Object><Key>k</Key><Foo>1</Foo></Object></Delete>",
        "<Delete><Object><Key>k<Foo/></Key></Object></Delete>",
        "<Delete><Object><Key>k</Key></Object></Delete>zzz",
        "zzz<Delete/>",
        "<Delete/><Delete/>",
        "<Delete/>&amp;",
        "<Delete>zzz<Quiet/></Delete>",
        "<CompleteMultipartUpload><Part><ChecksumSHA512>a</ChecksumSHA512></Part>\
         </CompleteMultipartUpload>",
        "<CORSConfiguration/>",
    ] {
        assert!(check_xml(document.as_bytes()).is_err(), "{document}");
    }
}

#[test]
fn the_table_is_sorted_and_no_element_holds_itself() {
    assert!(CHILDREN.is_sorted_by(|a, b| a.0 < b.0));
    for (name, children) in CHILDREN {
        assert!(!children.contains(name) && children.is_sorted(), "{name}");
    }
}
