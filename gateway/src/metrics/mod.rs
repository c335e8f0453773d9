//! What a gateway or server shows beside what every process does ([`sixfold_node::metrics`]).
//! Names, labels and meanings are in one table: [`sixfold_proto::metrics`].

mod minio;
mod page;
mod requests;
mod scrape;

pub use page::reference;
pub use requests::{Answered, RequestMetrics};
#[cfg(test)]
pub(crate) use scrape::node_state;
pub use scrape::{Certificate, Scrape, Sources};

use sixfold_node::metrics::{flag, gauge};
use sixfold_proto::metrics as names;

/// How many copies of the metadata there are, are in step, and whether commits wait for one.
pub fn metadata_copies(in_step: usize, all: usize, are_required: bool) {
    gauge(&names::COPIES, &[]).set(all as f64);
    gauge(&names::COPIES_IN_STEP, &[]).set(in_step as f64);
    gauge(&names::COPIES_REQUIRED, &[]).set(flag(are_required));
}

/// How much one copy lacks.
pub fn metadata_copy_lag(copy: u8, lacks_bytes: u64) {
    gauge(&names::COPY_LAG, &[("copy", copy.to_string())]).set(lacks_bytes as f64);
}
