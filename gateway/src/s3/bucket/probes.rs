//! Truthful answers about settings of buckets that nobody can make yet.
//!
//! Clients read many of them before they do anything. A setting that has no empty form is
//! absent with its own code; one that has is answered empty.

use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::object::probes::{full_control, owner};
use crate::s3::probe::Unconfigured;
use s3s::dto;

/// Operations that answer that a setting was never made.
macro_rules! absent {
    ($($(#[$doc:meta])* $run:ident($input:ident) -> $output:ident = $setting:ident;)*) => { $(
        $(#[$doc])*
        pub(crate) async fn $run(
            app: &App,
            context: &Context,
            input: dto::$input,
        ) -> Result<dto::$output, Error> {
            context.bucket(app, &input.bucket).await?;
            Err(Error::Unconfigured(Unconfigured::$setting))
        }
    )* };
}

absent! {
    /// `GetBucketPolicy`.
    policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = Policy;
    /// `GetBucketPolicyStatus`.
    policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = Policy;
    /// `GetBucketCors`.
    cors(GetBucketCorsInput) -> GetBucketCorsOutput = Cors;
    /// `GetBucketLifecycleConfiguration`.
    lifecycle(GetBucketLifecycleConfigurationInput)
        -> GetBucketLifecycleConfigurationOutput = Lifecycle;
    /// `GetBucketEncryption`.
    encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = Encryption;
    /// `GetPublicAccessBlock`.
    public_access_block(GetPublicAccessBlockInput)
        -> GetPublicAccessBlockOutput = PublicAccessBlock;
    /// `GetBucketOwnershipControls`.
    ownership_controls(GetBucketOwnershipControlsInput)
        -> GetBucketOwnershipControlsOutput = OwnershipControls;
    /// `GetBucketReplication`.
    replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = Replication;
    /// `GetObjectLockConfiguration`.
    object_lock(GetObjectLockConfigurationInput)
        -> GetObjectLockConfigurationOutput = ObjectLock;
    /// `GetBucketWebsite`.
    website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = Website;
}

/// Operations whose answer for an unconfigured bucket is an empty document.
macro_rules! empty {
    ($($(#[$doc:meta])* $run:ident($input:ident) -> $output:ident;)*) => { $(
        $(#[$doc])*
        pub(crate) async fn $run(
            app: &App,
            context: &Context,
            input: dto::$input,
        ) -> Result<dto::$output, Error> {
            context.bucket(app, &input.bucket).await?;
            Ok(dto::$output::default())
        }
    )* };
}

empty! {
    /// `GetBucketLogging`.
    logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    /// `GetBucketNotificationConfiguration`.
    notification(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput;
    /// `GetBucketAccelerateConfiguration`.
    accelerate(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
}

/// `GetBucketRequestPayment`: the owner pays.
pub(crate) async fn request_payment(
    app: &App,
    context: &Context,
    input: dto::GetBucketRequestPaymentInput,
) -> Result<dto::GetBucketRequestPaymentOutput, Error> {
    context.bucket(app, &input.bucket).await?;
    let payer = dto::Payer::from_static(dto::Payer::BUCKET_OWNER);
    Ok(dto::GetBucketRequestPaymentOutput { payer: Some(payer) })
}

/// `GetBucketAcl`: the owner has all rights, nobody else has any.
pub(crate) async fn acl(
    app: &App,
    context: &Context,
    input: dto::GetBucketAclInput,
) -> Result<dto::GetBucketAclOutput, Error> {
    context.bucket(app, &input.bucket).await?;
    Ok(dto::GetBucketAclOutput {
        grants: Some(vec![full_control(context)]),
        owner: Some(owner(context)),
    })
}
