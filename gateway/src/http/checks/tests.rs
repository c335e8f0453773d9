use super::{Head, check, parse_query, subresource};
use crate::http::host::Domains;
use crate::http::target::Target;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const CREDENTIAL: &str = "AKID/20261121/us-east-1/s3/aws4_request";

/// The code a request is refused with, `ok` when it passes on to s3s.
fn code(method: &str, uri: &str, given: &[(&str, &str)]) -> &'static str {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("localhost:9000"));
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let head = Head {
        method: &method,
        version: Version::HTTP_11,
        target: &Target::of(Some("localhost:9000"), path, &Domains::new(&[])),
        query: parse_query(query),
        headers: &headers,
        region: "us-east-1",
    };
    check(&head).err().map_or("ok", |refusal| refusal.code)
}

fn authorization(credential: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00")
}

/// A well-formed signed request, with more headers.
fn signed(method: &str, uri: &str, more: &[(&str, &str)]) -> &'static str {
    let authorization = authorization(CREDENTIAL);
    let mut headers = vec![("authorization", authorization.as_str())];
    for (name, value) in [
        ("x-amz-date", "20261121T000000Z"),
        ("x-amz-content-sha256", HASH),
        ("content-length", "0"),
    ] {
        if !more.iter().any(|(own, _)| *own == name) {
            headers.push((name, value));
        }
    }
    headers.extend_from_slice(more);
    headers.retain(|(_, value)| *value != "(none)");
    code(method, uri, &headers)
}

#[test]
fn authorization_headers() {
    for (value, expected) in [
        ("invalid_header", "InvalidArgument"),
        ("AWS2-HMAC-SHA1 Credential=a", "InvalidArgument"),
        ("AWS4-HMAC-SHA512 Credential=a", "InvalidArgument"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "InvalidArgument"),
        ("AWS AKID:signature", "InvalidRequest"),
        ("", "AccessDenied"),
        ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=h", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
    ] {
        assert_eq!(code("GET", "/b", &[("authorization", value)]), expected, "{value}");
    }
    for credential in [
        "AKID/20261121/us-east-1/s3",
        "AKID/20261121/us-east-1/s3/aws4_request/more",
        "AKID/20261121/us-east-1/s3/aws5_request",
        "AKID/20261121/us-east-1/ec2/aws4_request",
        "AKID/20261121/eu-north-1/s3/aws4_request",
        "AKID/20261121//s3/aws4_request",
        "AKID/2026-1121/us-east-1/s3/aws4_request",
        "/20261121/us-east-1/s3/aws4_request",
    ] {
        let value = authorization(credential);
        let refused = code("GET", "/b", &[("authorization", &value)]);
        assert_eq!(refused, "AuthorizationHeaderMalformed", "{credential}");
    }
    let twice = [("authorization", "x"), ("authorization", "x")];
    assert_eq!(code("GET", "/b", &twice), "InvalidArgument");
    assert_eq!(signed("GET", "/b", &[]), "ok");
    for date in ["(none)", "20261121", "Sat, 21 Nov 2026 00:00:00 GMT", "20261121T0000000"] {
        assert_eq!(signed("GET", "/b", &[("x-amz-date", date)]), "AccessDenied", "{date}");
    }
    let other_day = [("x-amz-date", "20261122T000000Z")];
    assert_eq!(signed("GET", "/b", &other_day), "AuthorizationHeaderMalformed");
    let both = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00";
    assert_eq!(signed("GET", both, &[]), "InvalidArgument");
}

/// Signed for one bucket, such a request would be good for every other one, which the host names.
#[test]
fn the_host_is_signed() {
    for (signed_headers, expected) in [
        ("host", "ok"),
        ("content-md5;host;x-amz-date", "ok"),
        ("user-agent", "AccessDenied"),
        ("x-host;hosts", "AccessDenied"),
    ] {
        let value = authorization(CREDENTIAL).replace("=host,", &format!("={signed_headers},"));
        let headers = [
            ("authorization", value.as_str()),
            ("x-amz-date", "20261121T000000Z"),
            ("x-amz-content-sha256", HASH),
        ];
        assert_eq!(code("GET", "/b", &headers), expected, "{signed_headers}");
        let url = format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CREDENTIAL}\
             &X-Amz-Date=20261121T000000Z&X-Amz-Expires=1&X-Amz-Signature=00\
             &X-Amz-SignedHeaders={signed_headers}"
        );
        assert_eq!(code("GET", &url, &[]), expected, "{signed_headers}");
    }
    let twice = authorization(CREDENTIAL).replace("=host,", "=host, SignedHeaders=user-agent,");
    let refused = code("GET", "/b", &[("authorization", &twice)]);
    assert_eq!(refused, "AuthorizationHeaderMalformed");
}

#[test]
fn a_signature_in_capitals_is_another_one() {
    let url = |signature: &str| {
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CREDENTIAL}\
             &X-Amz-Date=20261121T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
             &X-Amz-Signature={signature}"
        )
    };
    assert_eq!(code("GET", &url(&"ab".repeat(32)), &[]), "ok");
    assert_eq!(code("GET", &url(&"AB".repeat(32)), &[]), "SignatureDoesNotMatch");
}

#[test]
fn presigned_urls() {
    let url = |algorithm: &str, credential: &str, expires: &str| {
        format!(
            "/b/k?X-Amz-Algorithm={algorithm}&X-Amz-Credential={}&X-Amz-Date=20261121T000000Z\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
            credential.replace('/', "%2F")
        )
    };
    let hmac = "AWS4-HMAC-SHA256";
    for expires in ["1", "604800"] {
        assert_eq!(code("GET", &url(hmac, CREDENTIAL, expires), &[]), "ok", "{expires}");
    }
    let malformed = "AuthorizationQueryParametersError";
    for expires in ["0", "-1", "%2B5", "604801", "abc", "", "99999999999999999999"] {
        assert_eq!(code("GET", &url(hmac, CREDENTIAL, expires), &[]), malformed, "{expires}");
    }
    for algorithm in ["", "AWS4-HMAC-SHA1", "AWS4-ECDSA-P256-SHA256"] {
        assert_eq!(code("GET", &url(algorithm, CREDENTIAL, "1"), &[]), malformed, "{algorithm}");
    }
    for credential in [
        "AKID/20261121/us-east-1/s3",
        "AKID/20261121/us-east-1/iam/aws4_request",
        "AKID/20261121/other/s3/aws4_request",
        "AKID/20261120/us-east-1/s3/aws4_request",
    ] {
        assert_eq!(code("GET", &url(hmac, credential, "1"), &[]), malformed, "{credential}");
    }
    let twice = format!("{}&X-Amz-Expires=1", url(hmac, CREDENTIAL, "1"));
    assert_eq!(code("GET", &twice, &[]), malformed);
    let half = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00";
    assert_eq!(code("GET", half, &[]), malformed);
    assert_eq!(code("GET", "/b/k?response-content-type=text/html", &[]), "InvalidRequest");
    // Named after the advisory: credentials in the query without a signature authenticate nobody;
    // the access check refuses the request as anonymous.
    let only_credential = "/b/k?X-Amz-Credential=AKID%2F20261121%2Fus-east-1%2Fs3%2Faws4_request";
    assert_eq!(code("GET", only_credential, &[]), "ok");
}

#[test]
fn payload_hashes_and_frames() {
    let sha = "x-amz-content-sha256";
    for value in
        ["invalid_sha256", "", "STREAMING-NONSENSE", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"]
    {
        assert_eq!(signed("PUT", "/b/k", &[(sha, value)]), "InvalidArgument", "{value}");
    }
    assert_eq!(signed("PUT", "/b/k", &[(sha, "(none)")]), "InvalidRequest");
    assert_eq!(signed("PUT", "/b/k", &[(sha, "UNSIGNED-PAYLOAD")]), "ok");

    let frames = (sha, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let trailer = (sha, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let decoded = ("x-amz-decoded-content-length", "5");
    assert_eq!(signed("PUT", "/b/k", &[frames, decoded]), "ok");
    assert_eq!(signed("PUT", "/b/k", &[frames]), "MissingContentLength");
    assert_eq!(signed("PUT", "/b/k", &[trailer, decoded]), "MalformedTrailerError");
    for (names, expected) in [
        ("x-amz-checksum-crc32", "ok"),
        ("X-Amz-Checksum-CRC64NVME", "ok"),
        ("x-amz-checksum-sha512", "NotImplemented"),
        ("x-amz-checksum-crc32,x-amz-checksum-xxhash3", "NotImplemented"),
        ("x-amz-checksum-foo", "InvalidRequest"),
        ("x-amz-checksum-algorithm", "InvalidRequest"),
        ("x-amz-meta-foo", "InvalidRequest"),
        ("content-md5", "InvalidRequest"),
    ] {
        let named = ("x-amz-trailer", names);
        assert_eq!(signed("PUT", "/b/k", &[trailer, decoded, named]), expected, "{names}");
    }
    for (method, uri) in [("GET", "/b/k"), ("PUT", "/b"), ("POST", "/b?delete"), ("DELETE", "/b/k")]
    {
        assert_eq!(signed(method, uri, &[frames, decoded]), "InvalidRequest", "{method} {uri}");
    }
    let length = ("content-length", "5");
    assert_eq!(code("PUT", "/b/k", &[frames, decoded, length]), "InvalidRequest");

    let two = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-sha1", "x")];
    assert_eq!(signed("PUT", "/b/k", &two), "InvalidRequest");
    let one = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-type", "FULL_OBJECT")];
    assert_eq!(signed("PUT", "/b/k", &one), "ok");
    for (name, expected) in
        [("x-amz-checksum-foo", "InvalidRequest"), ("x-amz-checksum-md5", "NotImplemented")]
    {
        assert_eq!(signed("PUT", "/b/k", &[(name, "AAAA")]), expected, "{name}");
    }
    assert_eq!(signed("GET", "/b/k", &[("x-amz-checksum-mode", "ENABLED")]), "ok");
}

#[test]
fn methods_and_lengths() {
    for method in ["PATCH", "TRACE", "put", "CONNECT", &"X".repeat(10_000)] {
        assert_eq!(signed(method, "/b/k", &[]), "MethodNotAllowed");
    }
    let none = ("content-length", "(none)");
    assert_eq!(signed("PUT", "/b/k", &[none]), "MissingContentLength");
    assert_eq!(signed("PUT", "/b/k", &[none, ("transfer-encoding", "chunked")]), "ok");
    assert_eq!(signed("PUT", "/b", &[none]), "ok");
    assert_eq!(signed("PUT", "/b/k", &[("content-length", "5368709120")]), "ok");
    assert_eq!(signed("PUT", "/b/k", &[("content-length", "5368709121")]), "EntityTooLarge");
    let decoded = [
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-decoded-content-length", "5368709121"),
    ];
    assert_eq!(signed("PUT", "/b/k", &decoded), "EntityTooLarge");
    assert_eq!(signed("PUT", "/b/k", &[("content-length", "+1")]), "InvalidArgument");
    let long = "x".repeat(40_000);
    let refused = signed("GET", "/b/k", &[("x-amz-meta-a", &long)]);
    assert_eq!(refused, "RequestHeaderSectionTooLarge");
}

#[test]
fn unknown_subresources_never_fall_through() {
    for (method, uri) in [
        ("DELETE", "/b?metadataConfiguration"),
        ("DELETE", "/b?anything"),
        ("DELETE", "/b?acl="),
        ("PUT", "/b/k?renameObject"),
        ("PUT", "/b/k?encryption"),
        ("PUT", "/b/k?unknown"),
        ("PUT", "/b/k?newSub="),
        ("DELETE", "/b?newConfiguration="),
        ("DELETE", "/b/k?newSub="),
        ("POST", "/b?newSub="),
        ("PUT", "/b/k?%61cl"),
        ("PUT", "/b?abac"),
        ("DELETE", "/b/k?acl"),
        ("DELETE", "/b/k?uploads"),
        ("POST", "/b/k?restore"),
        ("POST", "/b/k"),
        ("POST", "/b"),
        ("POST", "/?delete"),
        ("GET", "/b?abac"),
        ("GET", "/b/k?torrent"),
        ("PUT", "/b?uploadId=x"),
    ] {
        assert_eq!(signed(method, uri, &[]), "NotImplemented", "{method} {uri}");
    }
    for (method, uri) in [
        ("GET", "/b/k?cache-buster"),
        ("GET", "/b/k?v=1"),
        ("HEAD", "/b/k?acl"),
        ("GET", "/b?list-type=2&prefix=a"),
        ("GET", "/b?location"),
        ("PUT", "/b/k?x-id=PutObject"),
        ("PUT", "/b/k?foo=bar"),
        ("PUT", "/b/k?partNumber=1&uploadId=u"),
        ("POST", "/b/k?uploads"),
        ("POST", "/b/k?uploadId=u"),
        ("POST", "/b?delete="),
        ("DELETE", "/b/k?versionId=null"),
        ("DELETE", "/b/k?uploadId=u"),
    ] {
        assert_eq!(signed(method, uri, &[]), "ok", "{method} {uri}");
    }
    for (method, uri) in [
        ("PUT", "/b/k?partNumber=1"),
        ("PUT", "/b/k?uploadId=u"),
        ("PUT", "/b/k?versionId=null"),
        ("DELETE", "/b/k?uploadId="),
        ("PUT", "/b/k?partNumber=%2B1&uploadId=u"),
        ("PUT", "/b/k?partNumber=&uploadId=u"),
        ("GET", "/b/k?partNumber=%2B1"),
    ] {
        assert_eq!(signed(method, uri, &[]), "InvalidArgument", "{method} {uri}");
    }
}

/// Every row with every method: what the table doesn't offer never passes.
#[test]
fn the_table_decides_for_every_row() {
    for (key, bucket, object) in subresource::rows() {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            for (path, offered) in [("/b", bucket), ("/b/k", object)] {
                let passed = signed(method, &format!("{path}?{key}"), &[]) != "NotImplemented";
                // POST of a form has no key at all and is refused apart.
                let expected = offered.contains(&method);
                assert_eq!(passed, expected, "{method} {path}?{key}");
            }
        }
    }
}

#[test]
fn copy_sources() {
    for (source, expected) in [
        ("bucket/key", "ok"),
        ("/bucket/a%20b%C3%A9", "ok"),
        ("", "InvalidArgument"),
        ("//", "InvalidArgument"),
        ("/bucket/a%", "InvalidArgument"),
        ("/bucket/a%2", "InvalidArgument"),
        ("/bucket/%zz", "InvalidArgument"),
        ("/bucket/%%41", "InvalidArgument"),
    ] {
        let header = [("x-amz-copy-source", source)];
        assert_eq!(signed("PUT", "/bucket/key", &header), expected, "{source}");
    }
    let empty_range = [("x-amz-copy-source", "bucket/key"), ("x-amz-copy-source-range", "")];
    assert_eq!(signed("PUT", "/b/k?partNumber=1&uploadId=u", &empty_range), "InvalidArgument");
}

#[test]
fn list_types() {
    assert_eq!(signed("GET", "/bucket?list-type=2", &[]), "ok");
    for uri in ["/bucket?list-type=1", "/bucket?list-type=", "/bucket?list-type"] {
        assert_eq!(signed("GET", uri, &[]), "InvalidArgument", "{uri}");
    }
    assert_eq!(signed("GET", "/bucket/key?list-type=1", &[]), "ok");
}

#[test]
fn values_that_no_answer_can_repeat() {
    for uri in [
        "/bucket?max-keys=%01",
        "/bucket?list-type=2&fetch-owner=%00",
        "/bucket?uploads&upload-id-marker=%EF%BF%BF",
        "/?prefix=%01",
        "/bucket/key?response-content-type=a%0D%0Ab:c",
    ] {
        assert_eq!(signed("GET", uri, &[]), "InvalidArgument", "{uri}");
        assert_eq!(signed("HEAD", uri, &[]), "InvalidArgument", "{uri}");
    }
    // Names of objects may hold anything.
    assert_eq!(signed("GET", "/bucket?prefix=%01&delimiter=%02&marker=%EF%BF%BF", &[]), "ok");
}

#[test]
fn a_copy_source_is_a_header() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261121%2Fus-east-1%2Fs3\
                 %2Faws4_request&X-Amz-Date=20261121T000000Z&X-Amz-Expires=60&X-Amz-Signature=00\
                 &X-Amz-SignedHeaders=host";
    let length = [("content-length", "0")];
    assert_eq!(code("PUT", &format!("/b/k?{query}"), &length), "ok");
    for key in ["x-amz-copy-source", "X-Amz-Copy-Source"] {
        let uri = format!("/b/k?{query}&{key}=b%2Fold");
        assert_eq!(code("PUT", &uri, &length), "NotImplemented");
    }
}

#[test]
fn moments_that_there_are_not() {
    for (date, expected) in [
        ("20261121T235959Z", "ok"),
        ("20261301T000000Z", "AccessDenied"),
        ("20260230T000000Z", "AccessDenied"),
        ("20261121T250000Z", "AccessDenied"),
        ("20261121T235960Z", "AccessDenied"),
        ("99991231T000000Z", "AccessDenied"),
    ] {
        let credential = format!("AKID/{}/us-east-1/s3/aws4_request", &date[..8]);
        let authorization = authorization(&credential);
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-amz-date", date),
            ("x-amz-content-sha256", HASH),
        ];
        assert_eq!(code("GET", "/bucket/key", &headers), expected, "{date}");
    }
}
