//! What is measured: the loads that have marks, and the matrix of kinds, sizes and clients.

use std::fmt;

pub(super) const KIB: usize = 1 << 10;
pub(super) const MIB: usize = 1 << 20;

/// Sizes of objects in the matrix.
const SIZES: [usize; 4] = [4 * KIB, 64 * KIB, MIB, 16 * MIB];

/// Connections at once in the matrix.
const CLIENTS: [usize; 3] = [1, 16, 64];

/// What the requests of a load are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Put,
    Get,
    /// HEAD of an object.
    Stat,
    /// A page of 1000 keys.
    List,
    Delete,
    /// Of twenty requests nine GETs, six HEADs, three PUTs and two DELETEs.
    Mixed,
    /// A whole upload: its start, its parts one after the other, its completion.
    Multipart,
}

/// Requests of one kind, for objects of one size, over so many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) kind: Kind,
    /// Bytes of an object.
    pub(super) size: usize,
    pub(super) clients: usize,
}

/// A load of the marks' table, and its marks: CPU milliseconds of all processes per request.
pub(super) struct Mark {
    pub(super) load: Load,
    pub(super) embedded_ms: f64,
    /// Beyond the mark of the embedded form.
    pub(super) beyond_ms: f64,
    pub(super) separate_ms: f64,
}

/// In the order in which they run: gets read what the puts before them have written.
#[rustfmt::skip]
pub(super) const MARKS: [Mark; 7] = [
    mark(Kind::Put,   4 * KIB, 32,  0.25,  0.15,  0.6),
    mark(Kind::Get,   4 * KIB, 32,  0.12,  0.08,  0.35),
    mark(Kind::List,  4 * KIB,  4,  4.0,   2.0,   4.0),
    mark(Kind::Put,       MIB, 16,  3.0,   2.0,   5.0),
    mark(Kind::Get,       MIB, 16,  0.8,   0.55,  2.0),
    mark(Kind::Put,  16 * MIB,  8, 45.0,  30.0,  70.0),
    mark(Kind::Get,  16 * MIB,  8, 12.0,   7.0,  28.0),
];

/// Read again when two nodes are gone, to be compared.
pub(super) const DEGRADED: Load = Load { kind: Kind::Get, size: 16 * MIB, clients: 8 };

/// What the degraded read may take, as a multiple of the healthy one: the mark, and beyond it.
pub(super) const DEGRADED_MARKS: (f64, f64) = (1.5, 1.2);

const fn mark(
    kind: Kind,
    size: usize,
    clients: usize,
    embedded_ms: f64,
    beyond_ms: f64,
    separate_ms: f64,
) -> Mark {
    Mark { load: Load { kind, size, clients }, embedded_ms, beyond_ms, separate_ms }
}

/// How much of the matrix runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matrix {
    None,
    /// One load of each kind that has no mark.
    Sample,
    /// Kinds whose cost follows the size at all sizes, the others at one.
    Usual,
    /// Every kind at every size.
    Full,
}

impl Matrix {
    pub(super) fn loads(self) -> Vec<Load> {
        let load = |kind, size, clients| Load { kind, size, clients };
        match self {
            Self::None => Vec::new(),
            Self::Sample => vec![
                load(Kind::Stat, 4 * KIB, 16),
                load(Kind::Mixed, 64 * KIB, 16),
                load(Kind::Multipart, 16 * MIB, 4),
                load(Kind::Delete, 4 * KIB, 16),
            ],
            Self::Usual | Self::Full => {
                let kinds = [
                    (Kind::Put, true),
                    (Kind::Get, true),
                    (Kind::Mixed, true),
                    (Kind::Stat, false),
                    (Kind::List, false),
                    (Kind::Delete, false),
                ];
                let mut loads = Vec::new();
                for (kind, follows_size) in kinds {
                    let all = follows_size || self == Self::Full;
                    let sizes = if all { &SIZES[..] } else { &SIZES[..1] };
                    for size in sizes {
                        loads.extend(CLIENTS.map(|clients| load(kind, *size, clients)));
                    }
                }
                let sizes = if self == Self::Full { &SIZES[..] } else { &SIZES[3..] };
                for size in sizes {
                    loads.extend(CLIENTS.map(|clients| load(Kind::Multipart, *size, clients)));
                }
                loads
            }
        }
    }
}

impl Load {
    /// Whether the size of the objects matters to people who read the name.
    fn shows_size(self) -> bool {
        !matches!(self.kind, Kind::List | Kind::Stat | Kind::Delete) || self.size != 4 * KIB
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Put => "PUT",
            Kind::Get => "GET",
            Kind::Stat => "HEAD",
            Kind::List => "LIST of 1000",
            Kind::Delete => "DELETE",
            Kind::Mixed => "mixed",
            Kind::Multipart => "multipart",
        };
        if !self.shows_size() {
            return f.pad(kind);
        }
        let size = self.size;
        let text = if size >= MIB {
            format!("{kind} {} MiB", size / MIB)
        } else {
            format!("{kind} {} KiB", size / KIB)
        };
        f.pad(&text)
    }
}
