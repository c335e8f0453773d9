//! Moves of chunks that meet each other, the end of their lease, and the sweep.

use super::*;
use sqlx::PgConnection;
use sqlx::postgres::PgTransaction;

/// Long enough for a call that does not wait to be over.
const A_WHILE: Duration = Duration::from_millis(300);

/// A committed extent, a move of its first chunk from node 1 to node 7 that waits for the end of its
/// transaction, and what is needed to meet it.
struct Meeting {
    pg: Pg,
    writer: LeaseId,
    mover: LeaseId,
    extent: Extent,
    connection: PgConnection,
}

impl Meeting {
    async fn new() -> Self {
        let (pg, url) = pg().await;
        let (bucket, writer) = (bucket(&pg).await, pg.begin_lease("writer").await.unwrap());
        let extent = put(&pg, writer, &bucket, "key").await;
        let mover = pg.begin_lease("mover").await.unwrap();
        let connection = PgConnection::connect(&url).await.unwrap();
        Self { pg, writer, mover, extent, connection }
    }

    /// The same move by the interface.
    fn same(&self) -> Move {
        let (from, to) = (self.extent.placement, [7, 2, 3, 4, 5, 6].map(NodeNumber));
        Move { lease: self.mover, extent: self.extent.id, from, to, healed: ChunkSet(0) }
    }

    async fn begin(&mut self) -> PgTransaction<'_> {
        let mut transaction = self.connection.begin().await.unwrap();
        let moved = "select move_chunks_v1($1, $2, '{1,2,3,4,5,6}'::smallint[], '{7,2,3,4,5,6}', 0::smallint)";
        let moved: bool = sqlx::query_scalar(moved)
            .bind(self.mover.0.cast_signed())
            .bind(self.extent.id.to_uuid())
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert!(moved);
        transaction
    }
}

/// Whoever is second changes nothing, whether both went to the same node or not.
#[tokio::test]
async fn of_two_moves_that_meet_one_wins() {
    for to in [[7, 2, 3, 4, 5, 6], [1, 8, 3, 4, 5, 6]] {
        let mut meeting = Meeting::new().await;
        let second = Move { to: to.map(NodeNumber), ..meeting.same() };
        let pg = meeting.pg.clone();
        let transaction = meeting.begin().await;
        let moving = tokio::spawn(async move { pg.move_chunks(second).await });
        tokio::time::sleep(A_WHILE).await;
        assert!(!moving.is_finished(), "it did not wait for the first");
        transaction.commit().await.unwrap();
        assert!(!moving.await.unwrap().unwrap(), "both won");
        let found = meeting.pg.find("bucket", "key", None).await.unwrap().extents;
        assert_eq!(found[0].placement, [7, 2, 3, 4, 5, 6].map(NodeNumber));
    }
}

/// A chunk that is being moved is wanted at both ends until the move is over, and then at one.
#[tokio::test]
async fn f16_a_sweep_that_meets_a_move_deletes_nothing_that_is_wanted() {
    for is_committed in [true, false] {
        let mut meeting = Meeting::new().await;
        let (pg, mover, extent) = (meeting.pg.clone(), meeting.mover, meeting.extent.clone());
        let old = [(chunk(&extent, 0), meeting.writer, CopyNumber(1))];
        let new = [(chunk(&extent, 0), mover, CopyNumber(1))];
        let writer = meeting.writer;
        let transaction = meeting.begin().await;
        let ending = tokio::spawn({
            let pg = pg.clone();
            async move { pg.end_lease(mover).await }
        });
        tokio::time::sleep(A_WHILE).await;
        assert!(!ending.is_finished(), "the lease ended under a move");
        assert_eq!(pg.condemned(NodeNumber(7), &new, NOW).await.unwrap(), [], "in doubt");
        assert_eq!(pg.condemned(NodeNumber(1), &old, NOW).await.unwrap(), [], "still placed");
        if is_committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        ending.await.unwrap().unwrap();
        pg.renew_lease(writer, None).await.unwrap();
        let at_new = pg.condemned(NodeNumber(7), &new, NOW).await.unwrap();
        let at_old = pg.condemned(NodeNumber(1), &old, NOW).await.unwrap();
        assert_eq!((at_new.is_empty(), at_old.is_empty()), (is_committed, !is_committed));
    }
}

/// A new drive and the word that a seat is free: the seat is taken once, by whoever comes next.
#[tokio::test]
async fn a_seat_is_taken_once_by_drives_that_come_together() {
    let (pg, _) = pg().await;
    for _ in 0..3 {
        pg.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    }
    let replacing = removal::replace(&pg, 2, None);
    let coming = (0..6).map(|_| pg.register_node(Uuid::new_v4(), None, "a", 1.0));
    let (replaced, _) = tokio::join!(replacing, futures::future::join_all(coming));
    assert_eq!(replaced, Removal::Done);
    pg.register_node(Uuid::new_v4(), None, "a", 1.0).await.unwrap();
    let rows = pg.nodes().await.unwrap();
    let on_seat = rows.iter().filter(|row| row.seat == NodeNumber(2)).count();
    assert_eq!(on_seat, 2, "the old one and one new one: {rows:?}");
}
