use super::*;
use http::{HeaderName, HeaderValue};
use proptest::prelude::{Just, any, prop_assert_eq, prop_oneof, proptest};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn claim(pairs: &[(&'static str, &str)]) -> Result<Option<Claim>, Error> {
    Claim::from_headers(&headers(pairs))
}

#[test]
fn a_claim_is_found_in_headers_and_trailers() {
    assert_eq!(claim(&[]).unwrap(), None);
    let given = claim(&[("x-amz-checksum-crc32", "y/Q5Jg==")]).unwrap().unwrap();
    assert_eq!(given.value, ClaimedValue::Given(vec![0xcb, 0xf4, 0x39, 0x26]));
    let trailer = claim(&[("x-amz-trailer", "X-Amz-Checksum-SHA256")]).unwrap().unwrap();
    assert_eq!(trailer.algorithm, ChecksumAlgorithm::Sha256);
    assert_eq!(trailer.value, ClaimedValue::InTrailer);
    let named = claim(&[("x-amz-sdk-checksum-algorithm", "crc32c")]).unwrap().unwrap();
    assert_eq!(named.value, ClaimedValue::Absent);
    assert_eq!(claim(&[("x-amz-sdk-checksum-algorithm", "")]).unwrap(), None);
}

#[test]
fn two_claims_or_ill_formed_ones_are_refused() {
    for pairs in [
        &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-sha1", "AAAA")][..],
        &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-trailer", "x-amz-checksum-crc32c")],
        &[("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-sha1")],
        &[("x-amz-checksum-crc32", "y/Q5Jg")],
        &[("x-amz-checksum-crc32", "AAAAAAAAAAA=")],
        &[("x-amz-checksum-crc32", "not base64")],
        &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-sdk-checksum-algorithm", "SHA1")],
        &[("x-amz-sdk-checksum-algorithm", "CRC99")],
    ] {
        let error = claim(pairs).unwrap_err();
        assert!(
            matches!(error, Error::InvalidRequest(_) | Error::InvalidChecksum(_)),
            "{pairs:?}: {error}"
        );
    }
}

#[test]
fn a_trailer_without_the_announced_value_is_malformed() {
    let algorithm = ChecksumAlgorithm::Crc32;
    let good = headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")]);
    assert_eq!(from_trailer(algorithm, &good).unwrap(), vec![0xcb, 0xf4, 0x39, 0x26]);
    assert!(matches!(from_trailer(algorithm, &HeaderMap::new()), Err(Error::MalformedTrailer)));
    let bad = headers(&[("x-amz-checksum-crc32", "!")]);
    assert!(matches!(from_trailer(algorithm, &bad), Err(Error::InvalidChecksum(_))));
}

#[test]
fn types_follow_amazons_table() {
    use ChecksumAlgorithm as A;
    use ChecksumType as T;
    for (algorithm, asked, kind) in [
        (A::Crc32, None, Some(T::Composite)),
        (A::Crc32, Some("FULL_OBJECT"), Some(T::FullObject)),
        (A::Crc32c, Some("COMPOSITE"), Some(T::Composite)),
        (A::Crc64Nvme, None, Some(T::FullObject)),
        (A::Crc64Nvme, Some("COMPOSITE"), None),
        (A::Sha1, None, Some(T::Composite)),
        (A::Sha256, Some("FULL_OBJECT"), None),
        (A::Crc32, Some("HALF"), None),
    ] {
        assert_eq!(multipart_type(algorithm, asked).ok(), kind, "{algorithm:?} {asked:?}");
    }
}

#[test]
fn a_composite_is_shown_with_its_part_count() {
    let checksum = of_parts(
        ChecksumAlgorithm::Sha256,
        ChecksumType::Composite,
        &[(&[1; 32], 5), (&[2; 32], 6)],
    )
    .unwrap();
    let expected = Sha256::digest([[1; 32], [2; 32]].concat());
    assert_eq!(shown(&checksum, 2), format!("{}-2", BASE64.encode(expected)));
}

proptest! {
    #[test]
    fn a_joined_crc_is_that_of_the_whole(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
        algorithm in prop_oneof![
            Just(ChecksumAlgorithm::Crc32),
            Just(ChecksumAlgorithm::Crc32c),
            Just(ChecksumAlgorithm::Crc64Nvme),
        ],
    ) {
        let crc_algorithm = crc(algorithm).unwrap();
        let size = size_bytes(algorithm);
        let values: Vec<_> = pieces.iter().map(|piece| crc_of(crc_algorithm, piece, size)).collect();
        let parts: Vec<_> = values
            .iter()
            .zip(&pieces)
            .map(|(value, piece)| (&value[..], piece.len() as u64))
            .collect();
        let whole = of_parts(algorithm, ChecksumType::FullObject, &parts).unwrap();
        prop_assert_eq!(whole.value, crc_of(crc_algorithm, &pieces.concat(), size));
    }
}
