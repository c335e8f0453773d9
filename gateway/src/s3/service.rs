//! The table of operations: which function does what. Nothing else happens here. What is not in
//! the table is answered `NotImplemented` by the front end.

use super::context::Context;
use super::{bucket, list, object, upload};
use crate::app::App;
use s3s::{S3, S3Request, S3Response, S3Result, dto};
use std::sync::Arc;

/// The operations of S3 over an [`App`].
#[derive(Clone)]
pub struct Service {
    app: Arc<App>,
}

impl Service {
    /// The operations over these handles.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

macro_rules! operations {
    ($($method:ident($input:ident) -> $output:ident = $run:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Service { $(
            async fn $method(
                &self,
                request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                let (context, input) = Context::split(request)?;
                let output = $run(&self.app, &context, input).await?;
                Ok(context.answer(output))
            }
        )* }
    };
}

#[rustfmt::skip]
operations! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput = list::buckets::buckets;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list::objects::objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list::objects_v2::objects_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list::versions::versions;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = list::uploads::uploads;
    list_parts(ListPartsInput) -> ListPartsOutput = list::parts::parts;

    create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket::create::create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = bucket::head::head;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket::delete::delete;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = bucket::location::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = bucket::versioning::versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = bucket::versioning::set_versioning;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = bucket::tags::get;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = bucket::tags::put;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = bucket::tags::delete;

    put_object(PutObjectInput) -> PutObjectOutput = object::put::put;
    get_object(GetObjectInput) -> GetObjectOutput = object::get::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = object::head::head;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = object::delete::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = object::delete_many::delete_many;
    copy_object(CopyObjectInput) -> CopyObjectOutput = object::copy::copy;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = object::attributes::attributes;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = object::tags::get;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = object::tags::put;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = object::tags::delete;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = upload::create::create;
    upload_part(UploadPartInput) -> UploadPartOutput = upload::part::part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = upload::part_copy::part_copy;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = upload::complete::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = upload::abort::abort;

    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = object::probes::acl;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = object::probes::legal_hold;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = object::probes::retention;

    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = bucket::probes::acl;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = bucket::probes::policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = bucket::probes::policy_status;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = bucket::probes::cors;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = bucket::probes::lifecycle;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = bucket::probes::encryption;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = bucket::probes::public_access_block;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = bucket::probes::ownership_controls;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = bucket::probes::replication;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = bucket::probes::object_lock;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = bucket::probes::website;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = bucket::probes::logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = bucket::probes::notification;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = bucket::probes::accelerate;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = bucket::probes::request_payment;
}
