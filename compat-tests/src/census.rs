//! A census of chunks: what the drives really hold, against what the rows say they hold.
//!
//! Every node is asked for its inventory and for each chunk's cells, over the same calls that a
//! gateway makes, and every cell is compared with its checksum. The gateways have no part in it.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use sixfold_proto::checksum::CellKey;
use sixfold_proto::chunks::{Cell, ChunkEntry, MAX_LIST_ENTRIES};
use sixfold_proto::name::ExtentId;
use sixfold_proto::node_v1::node_client::NodeClient;
use sixfold_proto::node_v1::{GetRequest, ListRequest};
use sixfold_proto::secret::{ClusterSecret, SECRET_METADATA_KEY};
use sixfold_proto::{MAX_LIST_MESSAGE_BYTES, MAX_MESSAGE_BYTES};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::cluster::{CLUSTER_SECRET, Server};

/// Chunks that rows place: index in the extent, extent and node, a line each.
const PLACED: &str = "select p.index - 1, e.id, p.node from extent e
    join placement on placement.id = e.placement_id,
    unnest(placement.nodes) with ordinality p (node, index)";

/// How many extents lack a chunk or have two on a node.
pub const NOT_WHOLE: &str =
    "select count(*) from extent e join placement p on p.id = e.placement_id
    where e.missing <> 0 or is_crowded_v1(p.nodes)";

/// A chunk on a node.
type Place = (u16, ExtentId, u8);

/// What was found.
#[derive(Debug, Default)]
pub struct Census {
    /// How many chunks rows place.
    pub placed_count: usize,
    /// Placed, and not on their node, or not as they were written.
    pub lacking: Vec<String>,
    /// On a node, and placed there by no row.
    pub orphans: Vec<String>,
}

impl Census {
    /// Counts everything once, while nothing writes.
    pub async fn take(server: &Server) -> anyhow::Result<Self> {
        let placed = placed(server)?;
        let cluster = Uuid::parse_str(server.metadata("select id from cluster").trim())?;
        let mut found = BTreeSet::new();
        let mut orphans = Vec::new();
        for row in server.node_list() {
            if row["state"] == "removed" {
                continue;
            }
            let number = u16::try_from(row["number"].as_u64().context("a number")?)?;
            let address = row["address"].as_str().context("an address")?;
            let mut node = Inventory::of(number, cluster, address).await?;
            for entry in node.list().await? {
                let place = (number, entry.name.extent, entry.name.index.get());
                if !placed.contains(&place) {
                    orphans.push(format!("{} on node {number}", entry.name));
                } else if node.is_whole(&entry).await? {
                    found.insert(place);
                }
            }
        }
        let lacking = placed
            .difference(&found)
            .map(|(node, extent, index)| format!("{extent}-{index} on node {node}"));
        Ok(Self { placed_count: placed.len(), lacking: lacking.collect(), orphans })
    }

    /// Whether every placed chunk is there and whole, and nothing else.
    pub fn is_clean(&self) -> bool {
        self.lacking.is_empty() && self.orphans.is_empty()
    }
}

fn placed(server: &Server) -> anyhow::Result<BTreeSet<Place>> {
    let mut placed = BTreeSet::new();
    for line in server.metadata(PLACED).lines() {
        let mut fields = line.split('|');
        let mut field = || fields.next().context("three fields");
        let index = field()?.parse()?;
        let extent = ExtentId::from_uuid(Uuid::parse_str(field()?)?);
        let is_new = placed.insert((field()?.parse()?, extent, index));
        ensure!(is_new, "a chunk is placed twice: {line}");
    }
    Ok(placed)
}

/// One node, asked as a gateway asks it.
struct Inventory {
    number: u16,
    cluster: Uuid,
    client: NodeClient<Channel>,
    secret: ClusterSecret,
}

impl Inventory {
    async fn of(number: u16, cluster: Uuid, address: &str) -> anyhow::Result<Self> {
        let channel =
            Channel::from_shared(format!("http://{}", address.trim_start_matches("http://")))?
                .connect()
                .await?;
        let limit = MAX_MESSAGE_BYTES.max(MAX_LIST_MESSAGE_BYTES);
        let client = NodeClient::new(channel).max_decoding_message_size(limit);
        Ok(Self { number, cluster, client, secret: ClusterSecret::parse(CLUSTER_SECRET)? })
    }

    fn request<T>(&self, message: T) -> anyhow::Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        let secret = self.secret.metadata_value().context("a secret for a header")?;
        request.metadata_mut().insert(SECRET_METADATA_KEY, secret);
        Ok(request)
    }

    async fn list(&mut self) -> anyhow::Result<Vec<ChunkEntry>> {
        let mut entries: Vec<ChunkEntry> = Vec::new();
        loop {
            let page = ListRequest {
                after: entries.last().map(|entry| entry.name.into()),
                limit: u32::try_from(MAX_LIST_ENTRIES)?,
                node_number: self.number.into(),
            };
            let request = self.request(page)?;
            let page = self.client.list(request).await?.into_inner().entries;
            if page.is_empty() {
                return Ok(entries);
            }
            for entry in page {
                entries.push(entry.try_into()?);
            }
        }
    }

    /// Whether all its cells are as they were written.
    async fn is_whole(&mut self, entry: &ChunkEntry) -> anyhow::Result<bool> {
        let ask = GetRequest {
            name: Some(entry.name.into()),
            first_cell: 0,
            cell_count: entry.cell_count,
            node_number: self.number.into(),
        };
        let request = self.request(ask)?;
        let Ok(answer) = self.client.get(request).await else { return Ok(false) };
        let (mut cells, mut count) = (answer.into_inner(), 0);
        let key = CellKey::new(self.cluster, entry.name);
        while let Ok(Some(cell)) = cells.message().await {
            if !key.matches(count, &Cell::from(cell)) {
                return Ok(false);
            }
            count += 1;
        }
        Ok(count == entry.cell_count)
    }
}
