//! The file name of a large chunk. It says all that the index must know, so that a start lists
//! folders and opens no file: extent, index, copy number, writer, data bytes, cell count, in
//! hexadecimal with dots between. No part of it is ever a client's text.

use sixfold_proto::chunks::ChunkEntry;
use sixfold_proto::name::{ChunkIndex, ChunkName, CopyNumber, ExtentId, LeaseId};

/// The folder of a chunk's file: the last byte of its extent's id, which is random.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn folder(name: ChunkName) -> u8 {
    name.extent.0 as u8
}

/// The name of a chunk's file in its folder.
pub(super) fn file_name(entry: &ChunkEntry) -> String {
    format!(
        "{:032x}.{}.{:x}.{:x}.{:x}.{:x}",
        entry.name.extent.0,
        entry.name.index.get(),
        entry.copy.0,
        entry.writer.0,
        entry.size_bytes,
        entry.cell_count
    )
}

/// The inverse of [`file_name`]; `None` for any other file.
pub(super) fn parse(file_name: &str) -> Option<ChunkEntry> {
    let mut parts = file_name.split('.');
    let extent = u128::from_str_radix(parts.next()?, 16).ok()?;
    let index = ChunkIndex::new(parts.next()?.parse().ok()?)?;
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let entry = ChunkEntry {
        name: ChunkName { extent: ExtentId(extent), index },
        copy: CopyNumber(number()?),
        writer: LeaseId(number()?),
        size_bytes: number()?,
        cell_count: u32::try_from(number()?).ok()?,
    };
    (self::file_name(&entry) == file_name).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_round_trip(extent: u128, index in 0_u8..6, copy: u64, writer: u64, size: u64, cells: u32) {
            let entry = ChunkEntry {
                name: ChunkName { extent: ExtentId(extent), index: ChunkIndex::new(index).unwrap() },
                copy: CopyNumber(copy),
                writer: LeaseId(writer),
                size_bytes: size,
                cell_count: cells,
            };
            prop_assert_eq!(parse(&file_name(&entry)), Some(entry));
        }

        #[test]
        fn other_names_are_not_chunks(name in "[0-9a-f.+]{0,60}") {
            if let Some(entry) = parse(&name) {
                prop_assert_eq!(file_name(&entry), name);
            }
        }
    }
}
