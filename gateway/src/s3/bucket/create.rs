//! `CreateBucket`: a name that nobody has, in the one region there is.

use crate::app::App;
use crate::meta::MetaError;
use crate::s3::context::Context;
use crate::s3::error::Error;
use s3s::dto::{CreateBucketConfiguration, CreateBucketInput, CreateBucketOutput};

/// The region where creating one's own bucket again is no error, for history's sake.
const FIRST_REGION: &str = "us-east-1";

/// Beginnings and ends that Amazon keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// The path of the health checks that clients of another store use.
const RESERVED_NAME: &str = "minio";

/// Creates a bucket of the caller's.
pub(crate) async fn create(
    app: &App,
    context: &Context,
    input: CreateBucketInput,
) -> Result<CreateBucketOutput, Error> {
    if !is_allowed(&input.bucket) {
        return Err(Error::InvalidBucketName);
    }
    check_ownership(context)?;
    if let Some(configuration) = &input.create_bucket_configuration {
        check_configuration(configuration, &app.region)?;
    }
    match app.meta.create_bucket(&input.bucket, context.caller.user.id).await {
        Ok(_) => {}
        Err(MetaError::BucketExists { owner }) if owner == context.caller.user.id => {
            if app.region != FIRST_REGION {
                return Err(Error::BucketAlreadyOwnedByYou);
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(CreateBucketOutput { location: Some(format!("/{}", input.bucket)), bucket_arn: None })
}

/// What the front end's check of names leaves over.
fn is_allowed(name: &str) -> bool {
    name != RESERVED_NAME
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn check_configuration(
    configuration: &CreateBucketConfiguration,
    region: &str,
) -> Result<(), Error> {
    if configuration.bucket.is_some() || configuration.location.is_some() {
        return Err(Error::NotImplemented("directory buckets"));
    }
    if configuration.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
        return Err(Error::NotImplemented("tags of a bucket"));
    }
    let asked = configuration.location_constraint.as_ref().map_or("", |asked| asked.as_str());
    let is_here = asked.is_empty() || asked == region || (asked == "EU" && region == "eu-west-1");
    if is_here { Ok(()) } else { Err(Error::InvalidLocationConstraint) }
}

/// Objects belong to the bucket's owner: the one setting that is the case anyway.
fn check_ownership(context: &Context) -> Result<(), Error> {
    match context.value("x-amz-object-ownership") {
        None | Some("" | "BucketOwnerEnforced") => Ok(()),
        Some("BucketOwnerPreferred" | "ObjectWriter") => {
            Err(Error::NotImplemented("x-amz-object-ownership"))
        }
        Some(_) => Err(Error::InvalidArgument("Invalid x-amz-object-ownership header")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::dto::BucketLocationConstraint;

    #[test]
    fn reserved_names_are_refused() {
        for name in ["minio", "xn--a", "sthree-a", "a-s3alias", "a--ol-s3", "a.mrap", "a--x-s3"] {
            assert!(!is_allowed(name), "{name}");
        }
        for name in ["minio2", "my-minio", "abc"] {
            assert!(is_allowed(name), "{name}");
        }
    }

    #[test]
    fn the_location_must_be_here() {
        let check = |asked: &str, region: &str| {
            let constraint = BucketLocationConstraint::from(asked.to_owned());
            let configuration = CreateBucketConfiguration {
                location_constraint: Some(constraint),
                ..Default::default()
            };
            check_configuration(&configuration, region).is_ok()
        };
        assert!(check("", "eu-west-1") && check("eu-west-1", "eu-west-1"));
        assert!(check("EU", "eu-west-1") && check("us-east-1", "us-east-1"));
        assert!(!check("eu-west-1", "us-east-1") && !check("nowhere", "eu-west-1"));
    }
}
