use super::*;
use proptest::prelude::*;

const KEY: DriveKey = DriveKey(1);

fn any_header() -> impl Strategy<Value = Header> {
    let subject = prop_oneof![
        (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(writer, cell_bytes, body_bytes)| {
            Subject::Chunk { writer: LeaseId(writer), cell_bytes, body_bytes }
        }),
        any::<(u32, u32)>().prop_map(|(segment, offset)| Subject::Tombstone { segment, offset }),
    ];
    (any::<u128>(), 0_u8..6, any::<u64>(), subject, any::<u64>()).prop_map(
        |(extent, index, copy, subject, batch)| Header {
            name: ChunkName { extent: ExtentId(extent), index: ChunkIndex::new(index).unwrap() },
            copy: CopyNumber(copy),
            subject,
            batch,
        },
    )
}

proptest! {
    #[test]
    fn headers_round_trip_and_no_bit_may_flip(header in any_header(), bit in 0_usize..512) {
        let mut bytes = header.encode(KEY);
        prop_assert_eq!(Header::decode(&bytes, KEY), Some(header));
        prop_assert_eq!(Header::decode(&bytes, DriveKey(2)), None);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Header::decode(&bytes, KEY), None);
        prop_assert_eq!(Header::decode(&bytes[..63], KEY), None);
    }

    #[test]
    fn seals_round_trip_and_no_bit_may_flip(
        header in any_header(), cells: u32, data: u32, content: u64, bit in 0_usize..256,
    ) {
        let seal = Seal { cell_count: cells, data_bytes: data, content };
        let mut bytes = seal.encode(header.name, header.copy);
        prop_assert_eq!(Seal::decode(&bytes, header.name, header.copy), Some(seal));
        let other = CopyNumber(header.copy.0 ^ 1);
        prop_assert_eq!(Seal::decode(&bytes, header.name, other), None);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Seal::decode(&bytes, header.name, header.copy), None);
    }

    #[test]
    fn lengths_agree(cell_bytes in 1_u32..=262_144, cells in 1_u32..=128, last in 1_u32..=262_144) {
        let data = cell_bytes * (cells - 1) + last.min(cell_bytes);
        let geometry = Geometry::new(cell_bytes, data).unwrap();
        prop_assert_eq!(geometry.cell_count(), cells);
        let sum: usize = (0..cells).map(|cell| geometry.cell_len(cell)).sum();
        prop_assert_eq!(sum, data as usize);
        for cell in 0..cells {
            let end = geometry.cell_offset(cell) + (geometry.cell_len(cell) + 8) as u64;
            prop_assert_eq!(end, geometry.cell_offset(cell + 1));
        }
        prop_assert_eq!(Geometry::from_body(cell_bytes, geometry.body_bytes()), Some(geometry));
    }

    #[test]
    fn indexes_round_trip(headers in proptest::collection::vec(any_header(), 0..20), segment: u32) {
        let entries: Vec<_> = headers
            .into_iter()
            .map(|header| IndexEntry { header: Header { batch: 0, ..header }, offset: 8 })
            .collect();
        let bytes = encode_index(segment, 640, &entries);
        let (body, end) = bytes.split_at(bytes.len() - TRAILER_BYTES);
        let trailer = Trailer::decode(end).unwrap();
        prop_assert_eq!((trailer.segment, trailer.offset), (segment, 640));
        prop_assert_eq!(trailer.entries(body), Some(entries));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Header::decode(&bytes, KEY);
        let _ = Trailer::decode(&bytes);
        let name = ChunkName { extent: ExtentId(1), index: ChunkIndex::ALL[0] };
        prop_assert_eq!(Seal::decode(&bytes, name, CopyNumber(1)), None);
    }
}

#[test]
fn impossible_lengths_are_refused() {
    for (cell, data) in [(0, 1), (1, 0), (262_145, 1), (1, 129)] {
        assert_eq!(Geometry::new(cell, data), None, "{cell} {data}");
    }
    // Nine bytes can't end with a checksum behind at least one byte of a second cell.
    assert_eq!(Geometry::from_body(1, 8), None);
    assert_eq!(Geometry::from_body(4, 12 + 8), None);
    assert_eq!(Geometry::from_body(0, 0), None);
}
