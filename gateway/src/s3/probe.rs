//! Settings that this store does not have yet, answered as an unconfigured bucket's.

use s3s::S3ErrorCode;

/// A setting that is reported as absent, each with its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unconfigured {
    /// Bucket policy.
    Policy,
    /// CORS rules.
    Cors,
    /// Lifecycle rules.
    Lifecycle,
    /// Bucket tags.
    Tags,
    /// Default encryption.
    Encryption,
    /// Public access block.
    PublicAccessBlock,
    /// Ownership controls.
    OwnershipControls,
    /// Replication.
    Replication,
    /// Object lock of a bucket.
    ObjectLock,
    /// Retention or legal hold of an object.
    ObjectRetention,
    /// Website.
    Website,
}

impl Unconfigured {
    /// The code that clients look for.
    pub(crate) fn code(self) -> S3ErrorCode {
        match self {
            Self::Policy => S3ErrorCode::NoSuchBucketPolicy,
            Self::Cors => S3ErrorCode::NoSuchCORSConfiguration,
            Self::Lifecycle => S3ErrorCode::NoSuchLifecycleConfiguration,
            Self::Tags => S3ErrorCode::NoSuchTagSet,
            Self::Encryption => S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
            Self::PublicAccessBlock => {
                S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into())
            }
            Self::OwnershipControls => S3ErrorCode::OwnershipControlsNotFoundError,
            Self::Replication => S3ErrorCode::ReplicationConfigurationNotFoundError,
            Self::ObjectLock => S3ErrorCode::ObjectLockConfigurationNotFoundError,
            Self::ObjectRetention => S3ErrorCode::NoSuchObjectLockConfiguration,
            Self::Website => S3ErrorCode::NoSuchWebsiteConfiguration,
        }
    }

    /// The message beside it.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Policy => "The bucket policy does not exist",
            Self::Cors => "The CORS configuration does not exist",
            Self::Lifecycle => "The lifecycle configuration does not exist",
            Self::Tags => "The TagSet does not exist",
            Self::Encryption => "The server side encryption configuration was not found",
            Self::PublicAccessBlock => "The public access block configuration was not found",
            Self::OwnershipControls => "The bucket ownership controls were not found",
            Self::Replication => "The replication configuration was not found",
            Self::ObjectLock => "Object Lock configuration does not exist for this bucket",
            Self::ObjectRetention => {
                "The specified object does not have an Object Lock configuration"
            }
            Self::Website => "The specified bucket does not have a website configuration",
        }
    }
}
