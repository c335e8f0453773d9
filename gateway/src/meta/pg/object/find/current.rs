//! Looks the current versions of several keys up at once.

use super::LookUp;
use super::rows::FoundRow;
use crate::meta::EXTENTS_PER_PAGE;
use sqlx::PgConnection;

/// The limits in it keep each look-up on its indexes: what is joined to a list of unknown length
/// might be read whole instead.
pub(super) async fn rows(
    connection: &mut PgConnection,
    items: &[LookUp],
) -> Result<Vec<FoundRow>, sqlx::Error> {
    let buckets: Vec<_> = items.iter().map(|item| item.bucket.as_str()).collect();
    let keys: Vec<_> = items.iter().map(|item| item.key.as_bytes()).collect();
    sqlx::query_as!(
        FoundRow,
        r#"select a.ord as "ord!", b.id as "bucket_id!", b.owner as "owner!",
            b.config_epoch as "config_epoch!", b.versioning as "versioning!",
            b.created as "created!",
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
        from unnest($1::text[], $2::bytea[]) with ordinality a (bucket, key, ord)
        cross join lateral (select * from bucket where name = a.bucket limit 1) b
        left join lateral (
            select true as is_current, o.* from object o
            where o.bucket_id = b.id and o.key = a.key limit 1) v on true
        left join lateral (
            select x.id, x.start, x.size, x.scheme, x.missing, p.nodes
            from extent x join placement p on p.id = x.placement_id
            where x.body_id = v.body order by x.start limit $3) e on true"#,
        &buckets as &[&str],
        &keys as &[&[u8]],
        i64::try_from(EXTENTS_PER_PAGE).unwrap_or(i64::MAX)
    )
    .fetch_all(connection)
    .await
}
