//! Builds the s3s service with the settings that its defaults leave open.

use super::front::FrontSettings;
use super::host::Domains;
use s3s::S3;
use s3s::access::S3Access;
use s3s::auth::S3Auth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::region::Region;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::{AwsNameValidation, NameValidation};
use std::sync::Arc;

/// The largest signed frame. s3s holds one whole to check its signature, so this is memory per
/// request; no client in use sends larger ones (most send 64 KiB or 8 MiB).
pub(super) const MAX_SIGNED_FRAME_BYTES: usize = 16 << 20;

/// How far a request's date may be from our clock, as Amazon: 15 minutes.
const MAX_SKEW_SECONDS: u32 = 900;

/// Builds the service.
pub fn service(
    s3: impl S3,
    auth: impl S3Auth,
    access: impl S3Access,
    settings: &FrontSettings,
) -> anyhow::Result<S3Service> {
    let mut config = S3Config::default();
    config.aws_chunked_stream_max_chunk_size = MAX_SIGNED_FRAME_BYTES;
    config.presigned_url_max_skew_time_secs = MAX_SKEW_SECONDS;
    config.expected_region = Some(Region::new(settings.region.clone().into())?);
    config.sig_v4_allowed_services = vec!["s3".to_owned()];
    // The router decides by what the request does; a parameter that merely names an operation
    // must not be able to contradict it.
    config.operation_id_routing = false;
    config.allow_post_signature = false;

    let mut builder = S3ServiceBuilder::new(s3);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(auth);
    builder.set_access(access);
    builder.set_host(Domains::new(&settings.domains));
    builder.set_validation(Names(AwsNameValidation::new()));
    Ok(builder.build())
}

/// Amazon's rules for bucket names, and one reserved name: `/minio/health/*` answers probes.
struct Names(AwsNameValidation);

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        name != "minio" && self.0.validate_bucket_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;
    use s3s::validation::{AwsNameValidation, NameValidation};

    #[test]
    fn bucket_names_follow_amazon_and_minio_is_reserved() {
        let names = Names(AwsNameValidation::new());
        for name in ["abc", "a.b.c", "1-2", &"a".repeat(63)] {
            assert!(names.validate_bucket_name(name), "{name}");
        }
        let long = "a".repeat(64);
        let wrong = [
            "ab",
            &long,
            "Abc",
            "a_b",
            "192.168.5.4",
            "a..b",
            "-a",
            "a-",
            "xn--a",
            "minio",
            "a b",
            "..",
            "bücket",
        ];
        for name in wrong {
            assert!(!names.validate_bucket_name(name), "{name}");
        }
    }
}
