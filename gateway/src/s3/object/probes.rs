//! Truthful answers about settings of objects that nobody can make yet.

use super::find;
use crate::app::App;
use crate::s3::context::Context;
use crate::s3::error::Error;
use crate::s3::ids::owner_text;
use crate::s3::probe::Unconfigured;
use s3s::dto::{
    GetObjectAclInput, GetObjectAclOutput, GetObjectLegalHoldInput, GetObjectLegalHoldOutput,
    GetObjectRetentionInput, GetObjectRetentionOutput, Grant, Grantee, Owner, Permission, Type,
};

/// `GetObjectAcl`: the owner has all rights, nobody else has any.
pub(crate) async fn acl(
    app: &App,
    context: &Context,
    input: GetObjectAclInput,
) -> Result<GetObjectAclOutput, Error> {
    let version_id = input.version_id.as_deref();
    find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
    Ok(GetObjectAclOutput {
        grants: Some(vec![full_control(context)]),
        owner: Some(owner(context)),
        ..Default::default()
    })
}

/// `GetObjectLegalHold`: none.
pub(crate) async fn legal_hold(
    app: &App,
    context: &Context,
    input: GetObjectLegalHoldInput,
) -> Result<GetObjectLegalHoldOutput, Error> {
    let version_id = input.version_id.as_deref();
    find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
    Err(Error::Unconfigured(Unconfigured::ObjectRetention))
}

/// `GetObjectRetention`: none.
pub(crate) async fn retention(
    app: &App,
    context: &Context,
    input: GetObjectRetentionInput,
) -> Result<GetObjectRetentionOutput, Error> {
    let version_id = input.version_id.as_deref();
    find::look_up(app, context, &input.bucket, &input.key, version_id).await?;
    Err(Error::Unconfigured(Unconfigured::ObjectRetention))
}

/// The owner of what the caller may read, which is the caller.
pub(crate) fn owner(context: &Context) -> Owner {
    let user = &context.caller.user;
    Owner { display_name: Some(user.name.clone()), id: Some(owner_text(user.id)) }
}

/// The one grant that every bucket and object has.
pub(crate) fn full_control(context: &Context) -> Grant {
    let owner = owner(context);
    Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            email_address: None,
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
