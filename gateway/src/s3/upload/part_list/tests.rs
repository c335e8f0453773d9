use super::*;
use crate::meta::types::{BucketId, Headers, UploadId, UserId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use time::OffsetDateTime;
use uuid::Uuid;

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn upload(checksum: Option<(ChecksumAlgorithm, ChecksumType)>) -> Upload {
    Upload {
        id: UploadId(Uuid::nil()),
        bucket: BucketId(1),
        key: "k".to_owned(),
        started: OffsetDateTime::UNIX_EPOCH,
        storage_class: "STANDARD".to_owned(),
        headers: Headers::default(),
        tags: std::collections::BTreeMap::new(),
        checksum,
        initiator: UserId(Uuid::nil()),
    }
}

fn stored(number: u16, size: u64) -> Part {
    Part {
        number,
        size,
        etag: MD5.to_owned(),
        checksum: Some(Checksum {
            algorithm: ChecksumAlgorithm::Sha256,
            kind: ChecksumType::Composite,
            value: vec![7; 32],
        }),
        modified: OffsetDateTime::UNIX_EPOCH,
    }
}

fn listed(number: u16) -> Listed {
    Listed { number, etag: MD5.to_owned(), checksum: Fields::default() }
}

const SHA256: Option<(ChecksumAlgorithm, ChecksumType)> =
    Some((ChecksumAlgorithm::Sha256, ChecksumType::Composite));

#[test]
fn order_and_emptiness_are_checked() {
    assert!(matches!(check_order(&[]), Err(Error::MalformedXml)));
    assert!(check_order(&[listed(1), listed(3)]).is_ok());
    for bad in [[listed(2), listed(1)], [listed(1), listed(1)]] {
        assert!(matches!(check_order(&bad), Err(Error::InvalidPartOrder)));
    }
}

#[test]
fn only_the_last_part_may_be_small() {
    let parts = [stored(1, MIN_PART_BYTES), stored(2, 1)];
    let made = assemble(&upload(SHA256), &[listed(1), listed(2)], &parts).unwrap();
    assert_eq!(made.size, MIN_PART_BYTES + 1);
    assert!(made.etag.ends_with("-2"));
    assert_eq!(made.checksum.unwrap().kind, ChecksumType::Composite);
    let parts = [stored(1, MIN_PART_BYTES - 1), stored(2, 1)];
    let error = assemble(&upload(SHA256), &[listed(1), listed(2)], &parts).unwrap_err();
    assert!(matches!(error, Error::EntityTooSmall));
    // Parts that are not listed do not count.
    assert!(assemble(&upload(SHA256), &[listed(1)], &parts).is_ok());
}

#[test]
fn absent_or_different_parts_are_invalid() {
    let parts = [stored(1, 1)];
    let wrong_etag = Listed { etag: "x".to_owned(), ..listed(1) };
    let wrong_sum =
        Listed { checksum: Fields::new(ChecksumAlgorithm::Sha256, "AAAA".to_owned()), ..listed(1) };
    // A checksum of another algorithm than the upload's can't be compared.
    let other = Listed {
        checksum: Fields::new(ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned()),
        ..listed(1)
    };
    for bad in [listed(2), wrong_etag, wrong_sum, other.clone()] {
        let error = assemble(&upload(SHA256), std::slice::from_ref(&bad), &parts).unwrap_err();
        assert!(matches!(error, Error::InvalidPart), "{bad:?}");
    }
    let right = Fields::new(ChecksumAlgorithm::Sha256, BASE64.encode([7; 32]));
    let right = Listed { checksum: right, ..listed(1) };
    assert!(assemble(&upload(SHA256), &[right], &parts).is_ok());
    // Unless it named none.
    assert!(assemble(&upload(None), &[other], &parts).is_ok());
}

#[test]
fn a_checksum_of_all_bytes_has_no_count() {
    let crc = Some((ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject));
    let part = Part {
        checksum: Some(Checksum {
            algorithm: ChecksumAlgorithm::Crc64Nvme,
            kind: ChecksumType::FullObject,
            value: vec![7; 8],
        }),
        ..stored(1, 1)
    };
    let made = assemble(&upload(crc), &[listed(1)], &[part]).unwrap();
    let bare = checksum::shown(made.checksum.as_ref().unwrap(), 1);
    let named = |text: String| vec![(ChecksumAlgorithm::Crc64Nvme, text)];
    assert!(check_whole(&made, &named(bare.clone())).is_ok());
    let error = check_whole(&made, &named(format!("{bare}-1"))).unwrap_err();
    assert!(matches!(error, Error::BadDigest(_)));
}

#[test]
fn the_whole_checksum_is_compared() {
    let made = assemble(&upload(SHA256), &[listed(1)], &[stored(1, 1)]).unwrap();
    let shown = checksum::shown(made.checksum.as_ref().unwrap(), 1);
    let named = |algorithm, text: &str| vec![(algorithm, text.to_owned())];
    assert!(check_whole(&made, &[]).is_ok());
    assert!(check_whole(&made, &named(ChecksumAlgorithm::Sha256, &shown)).is_ok());
    let bare = shown.strip_suffix("-1").unwrap();
    assert!(check_whole(&made, &named(ChecksumAlgorithm::Sha256, bare)).is_ok());
    for text in [&format!("{bare}-2"), "AAAA"] {
        let error = check_whole(&made, &named(ChecksumAlgorithm::Sha256, text)).unwrap_err();
        assert!(matches!(error, Error::BadDigest(_)));
    }
    let error = check_whole(&made, &named(ChecksumAlgorithm::Crc32, "AAAAAA==")).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)));
}
