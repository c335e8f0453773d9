//! Nodes that are removed: what must not be lost by it, and who gets the seat.

use super::{Move, bucket, commit_of, extent, node, pg, put};
use crate::erasure::Scheme;
use crate::meta::Meta;
use crate::meta::conformance::fixture::Fixture;
use crate::meta::types::{
    BodyId, ChunkSet, DeleteOutcome, Extent, Heir, NewBody, NodeState, Part, PartOutcome, Removal,
    RemoveNode,
};
use sixfold_proto::name::NodeNumber;
use time::OffsetDateTime;
use uuid::Uuid;

on_both!(
    a_removal_that_loses_objects_is_refused,
    what_spares_less_is_lost_sooner,
    parts_of_uploads_under_way_are_counted,
    a_seat_is_never_given_to_two,
    a_new_node_takes_the_seat_of_a_replaced_one,
);

/// Removes a node whose seat nobody gets.
pub(super) async fn remove(meta: &dyn Meta, node: u16) -> Removal {
    take_out(meta, node, Heir::Nobody).await
}

/// Removes a node whose seat `new` gets, or the next new drive.
pub(super) async fn replace(meta: &dyn Meta, node: u16, new: Option<u16>) -> Removal {
    let heir = new.map_or(Heir::NextDrive, |new| Heir::Node(NodeNumber(new)));
    take_out(meta, node, heir).await
}

async fn take_out(meta: &dyn Meta, node: u16, heir: Heir) -> Removal {
    let removal = RemoveNode { node: NodeNumber(node), heir, may_lose: false };
    meta.remove_node(removal).await.unwrap()
}

async fn register(meta: &dyn Meta, count: usize) {
    for _ in 0..count {
        meta.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    }
}

async fn is_removed(meta: &dyn Meta, number: u16) -> bool {
    node(meta, number).await.state == NodeState::Removed
}

/// Whether the node answers does not matter: what counts is what is left to read from.
async fn a_removal_that_loses_objects_is_refused(meta: &dyn Meta) {
    register(meta, 9).await;
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let (one, two) = (put(meta, lease, &bucket, "1").await, put(meta, lease, &bucket, "2").await);
    assert_eq!(remove(meta, 9).await, Removal::Done, "it has nothing");
    assert_eq!(remove(meta, 1).await, Removal::Done);
    assert_eq!(replace(meta, 2, None).await, Removal::Done);
    assert_eq!(remove(meta, 3).await, Removal::Loses(2));
    assert_eq!(replace(meta, 3, None).await, Removal::Loses(2));
    assert_eq!(replace(meta, 3, Some(7)).await, Removal::Loses(2));
    assert!(!is_removed(meta, 3).await);
    assert_ne!(node(meta, 7).await.seat, NodeNumber(3));
    assert_eq!(remove(meta, 8).await, Removal::Done, "it has nothing either");

    // One is made anew, the other deleted: then nothing is lost.
    let to = [7, 2, 3, 4, 5, 6].map(NodeNumber);
    let healed = ChunkSet(1);
    let moved = Move { lease, extent: one.id, from: one.placement, to, healed };
    assert!(meta.move_chunks(moved).await.unwrap());
    assert_eq!(remove(meta, 3).await, Removal::Loses(1));
    let deleted = meta.delete(&bucket, "2", None, None).await.unwrap();
    assert!(matches!(deleted, DeleteOutcome::Deleted { .. }), "{deleted:?}");
    assert_eq!(remove(meta, 3).await, Removal::Done, "{two:?} is freed");
    assert_eq!(remove(meta, 7).await, Removal::Loses(1));
    let at_any_price = RemoveNode { node: NodeNumber(7), heir: Heir::Nobody, may_lose: true };
    assert_eq!(meta.remove_node(at_any_price).await.unwrap(), Removal::Done);
    assert!(is_removed(meta, 7).await);
}

/// By scheme and by what is missing already, wherever that is.
async fn what_spares_less_is_lost_sooner(meta: &dyn Meta) {
    register(meta, 8).await;
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let cases = [
        (Scheme::SixZero, [1, 2, 3, 4, 5, 6], 0, [1, 1]),
        (Scheme::FiveOne, [1, 2, 3, 4, 5, 6], 0, [0, 1]),
        (Scheme::FiveOne, [1, 2, 3, 4, 5, 6], 0b00_0001, [0, 1]),
        (Scheme::FiveOne, [1, 2, 3, 4, 5, 6], 0b10_0000, [1, 1]),
        (Scheme::FourTwo, [1, 2, 3, 4, 5, 6], 0b00_0011, [0, 0]),
        (Scheme::FourTwo, [1, 2, 3, 4, 5, 6], 0b10_0000, [0, 1]),
        (Scheme::FourTwo, [1, 2, 3, 4, 5, 6], 0b11_0000, [1, 1]),
        (Scheme::FourTwo, [1, 2, 3, 1, 5, 6], 0, [0, 1]),
        (Scheme::FourTwo, [1, 2, 3, 1, 5, 6], 0b00_0010, [1, 1]),
        (Scheme::FourTwo, [8, 2, 3, 4, 5, 6], 0b00_0110, [0, 0]),
    ];
    let mut lost = [0; 2];
    for (index, (scheme, nodes, missing, is_lost)) in cases.into_iter().enumerate() {
        let (placement, missing) = (nodes.map(NodeNumber), ChunkSet(missing));
        let extent = Extent { placement, missing, ..extent(lease, scheme) };
        let commit = commit_of(lease, &bucket, &index.to_string(), extent);
        meta.commit(commit).await.unwrap();
        lost = [lost[0] + is_lost[0], lost[1] + is_lost[1]];
    }
    assert_eq!(remove(meta, 1).await, Removal::Loses(lost[0]), "node 1 alone");
    let removal = RemoveNode { node: NodeNumber(2), heir: Heir::Nobody, may_lose: true };
    assert_eq!(meta.remove_node(removal).await.unwrap(), Removal::Done);
    assert_eq!(remove(meta, 1).await, Removal::Loses(lost[1]), "node 1 after node 2");
}

/// A part that was acknowledged counts as an object does, until its upload is given up.
async fn parts_of_uploads_under_way_are_counted(meta: &dyn Meta) {
    register(meta, 8).await;
    let (bucket, lease) = (bucket(meta).await, meta.begin_lease("test").await.unwrap());
    let fixture = Fixture { meta, lease, bucket };
    let upload = fixture.start_upload("key").await;
    let body =
        NewBody { id: BodyId(Uuid::new_v4()), extents: vec![extent(lease, Scheme::FourTwo)] };
    let (etag, modified) = ("e".to_owned(), OffsetDateTime::UNIX_EPOCH);
    let part = Part { number: 1, size: 10, etag, checksum: None, modified };
    let outcome = meta.commit_part(lease, upload, part, Some(body)).await.unwrap();
    assert!(matches!(outcome, PartOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(remove(meta, 1).await, Removal::Done);
    assert_eq!(remove(meta, 2).await, Removal::Done);
    assert_eq!(remove(meta, 3).await, Removal::Loses(1));
    assert!(meta.abort_upload(fixture.bucket.id, "key", upload).await.unwrap());
    assert_eq!(remove(meta, 3).await, Removal::Done, "nobody has it any more");
}

async fn a_seat_is_never_given_to_two(meta: &dyn Meta) {
    register(meta, 3).await;
    assert_eq!(replace(meta, 3, None).await, Removal::Done);
    assert_eq!(replace(meta, 3, None).await, Removal::Done, "the drive is still awaited");
    register(meta, 2).await;
    let seats = async |numbers: [u16; 2]| {
        [node(meta, numbers[0]).await.seat.0, node(meta, numbers[1]).await.seat.0]
    };
    assert_eq!(seats([4, 5]).await, [3, 5]);
    assert_eq!(replace(meta, 3, None).await, Removal::SeatTaken);
    assert_eq!(replace(meta, 3, Some(5)).await, Removal::SeatTaken);
    assert_eq!(replace(meta, 5, Some(5)).await, Removal::Absent);
    register(meta, 1).await;
    assert_eq!(seats([4, 6]).await, [3, 6]);
    // Both who had the seat are gone, and both are said to be replaced: it is one seat.
    assert_eq!(replace(meta, 4, None).await, Removal::Done);
    assert_eq!(replace(meta, 3, None).await, Removal::Done);
    register(meta, 2).await;
    assert_eq!(seats([7, 8]).await, [3, 8]);
    // A seat that nobody got can still be given.
    assert_eq!(remove(meta, 8).await, Removal::Done);
    assert_eq!(replace(meta, 8, Some(6)).await, Removal::Done);
    assert_eq!(seats([6, 7]).await, [8, 3]);
}

async fn a_new_node_takes_the_seat_of_a_replaced_one(meta: &dyn Meta) {
    let register = |address| meta.register_node(Uuid::new_v4(), Some(address), "a", 3.0);
    for address in ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"] {
        register(address).await.unwrap();
    }
    let [one, three, four, five] = [1, 3, 4, 5].map(NodeNumber);
    meta.set_node_weight(one, 0.5).await.unwrap();
    assert_eq!(replace(meta, 1, Some(2)).await, Removal::Done);
    let taken = node(meta, 2).await;
    assert_eq!((taken.seat, taken.weight, taken.state), (one, 0.5, NodeState::Active));
    assert_eq!(node(meta, 1).await.state, NodeState::Removed);
    assert_eq!(replace(meta, 3, Some(1)).await, Removal::Absent, "a removed one takes no seat");
    assert_eq!(replace(meta, 3, Some(9)).await, Removal::Absent);
    assert_eq!(replace(meta, 9, None).await, Removal::Absent);
    assert_eq!(replace(meta, 3, None).await, Removal::Done);
    let next = register("10.0.0.4:1").await.unwrap();
    assert_eq!((next.number, next.seat, next.weight), (four, three, 3.0));
    let own = register("10.0.0.5:1").await.unwrap();
    assert_eq!((own.number, own.seat), (five, five), "a seat is taken once");
    // The seat of a seat.
    assert_eq!(replace(meta, 2, Some(5)).await, Removal::Done);
    assert_eq!(node(meta, 5).await.seat, one);
}

/// Each of the two alone would leave enough.
#[tokio::test]
async fn of_two_removals_at_once_one_is_refused() {
    let (pg, _) = pg().await;
    register(&pg, 8).await;
    let (bucket, lease) = (bucket(&pg).await, pg.begin_lease("test").await.unwrap());
    put(&pg, lease, &bucket, "key").await;
    assert_eq!(remove(&pg, 1).await, Removal::Done);
    assert_eq!(remove(&pg, 2).await, Removal::Done);
    // Four are left: with the chunk on node 1 made anew there are five, and one of two can go.
    let extent = pg.find("bucket", "key", None).await.unwrap().extents.remove(0);
    let to = [7, 2, 3, 4, 5, 6].map(NodeNumber);
    let (from, healed) = (extent.placement, ChunkSet(0));
    let moved = Move { lease, extent: extent.id, from, to, healed };
    assert!(pg.move_chunks(moved).await.unwrap());
    let (one, other) = tokio::join!(remove(&pg, 3), replace(&pg, 4, None));
    let mut both = [one, other];
    both.sort_by_key(|removal| *removal == Removal::Done);
    assert_eq!(both, [Removal::Loses(1), Removal::Done]);
}
