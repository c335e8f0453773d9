//! What the rows say, in the words of the design.

mod background;
mod checks;
mod cluster;
mod healing;
mod objects;
mod uploads;

pub use background::{Backlogs, JobStanding, Quarantine};
pub use checks::{CheckRun, Checked, Finding, FoundName, NameCursor, Named, Outcome};
pub use cluster::{
    AccessKey, Heir, NodeCondition, NodeRow, NodeState, Removal, RemoveNode, User, UserId,
};
pub use healing::{Claimant, ExtentCursor, JobRow, Lost, Move, Placed, RiskCursor};
pub use objects::{
    BodyId, BodySource, Bucket, BucketId, Checksum, ChecksumAlgorithm, ChecksumType, ChunkSet,
    Commit, CommitOutcome, Content, DeleteCondition, DeleteOutcome, Extent, Found, Headers, Key,
    ListQuery, NewBody, ObjectPart, Page, Placement, TagOutcome, Tags, Version, VersionId,
    Versioning, WriteCondition,
};
pub use uploads::{CompleteOutcome, Completion, Part, PartOutcome, Upload, UploadId};
