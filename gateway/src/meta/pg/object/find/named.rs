//! Looks one version of a key up by its id.

use super::super::super::columns::version_uuid;
use super::rows::FoundRow;
use crate::meta::EXTENTS_PER_PAGE;
use crate::meta::types::VersionId;
use sqlx::PgConnection;

pub(super) async fn rows(
    connection: &mut PgConnection,
    bucket: &str,
    key: &str,
    version: VersionId,
) -> Result<Vec<FoundRow>, sqlx::Error> {
    sqlx::query_as!(
        FoundRow,
        r#"select 1::bigint as "ord!", b.id as bucket_id, b.owner, b.config_epoch, b.versioning,
            b.created,
            v.seq as "seq?", v.version as "version?", v.marker as "marker?",
            v.is_current as "is_current?", v.modified as "modified?", v.body as "body?",
            v.size as "size?", v.etag as "etag?", v.storage_class as "storage_class?",
            case when coalesce(e.start, 0) = 0 then v.headers end as "headers?",
            v.checksum_algorithm as "checksum_algorithm?", v.checksum_kind as "checksum_kind?",
            v.checksum as "checksum?",
            case when coalesce(e.start, 0) = 0 then v.parts end as "parts?",
            case when coalesce(e.start, 0) = 0 then v.tags end as "tags?",
            e.id as "extent?", e.start as "extent_start?", e.size as "extent_size?",
            e.scheme as "scheme?", e.missing as "missing?", e.nodes as "nodes?"
        from bucket b
        left join lateral (
            select true as is_current, o.* from object o
            where o.bucket_id = b.id and o.key = $2 and o.version is not distinct from $3
            union all
            select false, n.* from noncurrent n
            where n.bucket_id = b.id and n.key = $2 and n.version = $3
            union all
            select false, n.* from noncurrent n
            where $3::uuid is null and n.bucket_id = b.id and n.key = $2 and n.version is null
            limit 1) v on true
        left join lateral (
            select x.id, x.start, x.size, x.scheme, x.missing, p.nodes
            from extent x join placement p on p.id = x.placement_id
            where x.body_id = v.body order by x.start limit $4) e on true
        where b.name = $1"#,
        bucket,
        key.as_bytes(),
        version_uuid(version),
        i64::try_from(EXTENTS_PER_PAGE).unwrap_or(i64::MAX)
    )
    .fetch_all(connection)
    .await
}
