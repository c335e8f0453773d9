//! The limits of the data path, each with its reason.

use std::time::Duration;

/// How much memory, time and concurrency bodies may take.
#[derive(Clone, Debug)]
pub struct DataLimits {
    /// Stripes of one body on their way to the nodes. Enough to cover a node's short pause at
    /// full speed; more would only be memory.
    pub stripes_in_flight: usize,
    /// Stripes of one body read ahead of the client.
    pub stripes_read_ahead: usize,
    /// Stripes in memory over all requests of the process; bounds its memory. A stripe takes
    /// up to 2.5 MiB with its parity.
    pub stripes_in_process: usize,
    /// How long a request waits for room for a stripe before it is told to slow down: longer
    /// than a busy moment, shorter than a client's patience.
    pub stripe_wait: Duration,
    /// Bytes per second that a client must send or take while others wait for room for a stripe:
    /// far below what any network in use has, far above what holds room on purpose.
    pub least_client_bytes_per_s: u64,
    /// Stripes in an extent; less than the format's maximum only in tests.
    pub stripes_per_extent: u32,
    /// A node that holds the spread up for this long, while enough others go on, is given up
    /// for this extent.
    pub stall_give_up: Duration,
    /// How long the nodes together may take for a step of a spread (a cell, or the last
    /// acknowledgement) before the write fails. Drives that sync a full cache take many seconds; a
    /// node that is gone is noticed sooner by its connection.
    pub spread_wait: Duration,
    /// How long all that is left may take once the last byte of a body has come, if some
    /// nodes hold up the others or chunks are tried again. An outage is answered within five seconds.
    pub last_wait: Duration,
    /// How long a node may take for the next cell of a read before another chunk takes over.
    pub cell_wait: Duration,
    /// After this long without a cell a hedge may be sent.
    pub hedge_after: Duration,
    /// Extra reads that hedging may add, in percent of all cells read.
    pub hedge_percent: u32,
    /// The longest time a read may take. Freed chunks wait for running reads, so that a client
    /// that never ends would keep drives full.
    pub read_cut: Duration,
    /// MiB per second of the chunks that this process moves from node to node: half of what a
    /// gigabit carries, so that requests keep the other half.
    pub rebalance_mib_per_s: u32,
    /// MiB per second of extents that this process makes chunks of anew: about what a gigabit
    /// carries, since what is lost matters more than what is in the wrong place.
    pub heal_mib_per_s: u32,
}

impl DataLimits {
    /// How long the first stripe of a read is waited for: for two cells, one after the other, and
    /// for the answer of whoever is asked then. With the defaults 4.5 s, so that an outage is
    /// answered within five.
    pub fn first_stripe_wait(&self) -> Duration {
        self.cell_wait * 2 + self.cell_wait / 4
    }

    /// How long a later stripe is waited for. The answer has begun, so giving up means to cut it:
    /// with the defaults not before 30 s.
    pub fn later_stripe_wait(&self) -> Duration {
        self.cell_wait * 15
    }
}

impl Default for DataLimits {
    fn default() -> Self {
        Self {
            stripes_in_flight: 4,
            stripes_read_ahead: 3,
            stripes_in_process: 160,
            stripe_wait: Duration::from_secs(4),
            least_client_bytes_per_s: 16 * 1024,
            stripes_per_extent: u32::MAX,
            stall_give_up: Duration::from_secs(1),
            spread_wait: Duration::from_secs(30),
            last_wait: Duration::from_millis(4500),
            cell_wait: Duration::from_secs(2),
            hedge_after: Duration::from_millis(100),
            hedge_percent: 5,
            read_cut: Duration::from_secs(6 * 60 * 60),
            rebalance_mib_per_s: 60,
            heal_mib_per_s: 100,
        }
    }
}
