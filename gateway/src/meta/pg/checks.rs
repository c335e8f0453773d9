//! Checks and what they found.

use super::Pg;
use super::columns::{
    ExtentColumns, broken, node_number, placement_from, size_from, size_number, text_from,
    version_id,
};
use super::error::from_sqlx;
use crate::meta::Result;
use crate::meta::checks::{Checks, NAMES_PER_FINDING};
use crate::meta::types::{
    BodyId, CheckRun, Checked, ChunkSet, Finding, FoundName, NameCursor, Named, Outcome, UploadId,
};
use async_trait::async_trait;
use sixfold_proto::name::ExtentId;
use sqlx::PgPool;
use uuid::Uuid;

#[async_trait]
impl Checks for Pg {
    async fn ask_check(&self, heals: bool) -> Result<Option<i64>> {
        self.calls.within("ask_check", ask_check(&self.pool, heals)).await
    }
    async fn withdraw_check(&self, run: i64) -> Result<()> {
        self.calls.within("withdraw_check", withdraw_check(&self.pool, run)).await
    }
    async fn check(&self, run: i64) -> Result<Option<CheckRun>> {
        self.calls.within("check", check(&self.pool, Some(run))).await
    }
    async fn next_check(&self) -> Result<Option<CheckRun>> {
        self.calls.within("next_check", check(&self.pool, None)).await
    }
    async fn step_check(
        &self,
        run: &CheckRun,
        state: &str,
        is_done: bool,
        findings: &[Finding],
    ) -> Result<bool> {
        self.calls.within("step_check", step_check(&self.pool, run, state, is_done, findings)).await
    }
    async fn extent_count(&self) -> Result<u64> {
        self.calls.within("extent_count", extent_count(&self.pool)).await
    }
    async fn extents_by_id(&self, after: Option<ExtentId>, limit: usize) -> Result<Vec<Checked>> {
        self.calls.within("extents_by_id", extents_by_id(&self.pool, after, limit)).await
    }
    async fn extents_of(&self, ids: &[ExtentId]) -> Result<Vec<Checked>> {
        self.calls.within("extents_of", extents_of(&self.pool, ids)).await
    }
    async fn findings(
        &self,
        run: i64,
        only_open: bool,
        after: Option<ExtentId>,
        limit: usize,
    ) -> Result<Vec<Finding>> {
        self.calls.within("findings", findings(&self.pool, run, only_open, after, limit)).await
    }
    async fn settle_findings(&self, run: i64, settled: &[(ExtentId, Outcome)]) -> Result<()> {
        self.calls.within("settle_findings", settle_findings(&self.pool, run, settled)).await
    }
    async fn name_findings(
        &self,
        run: i64,
        after: &NameCursor,
        limit: usize,
    ) -> Result<Option<NameCursor>> {
        let next = self.calls.within("name_page", name_page(&self.pool, run, after, limit)).await?;
        Ok(next.or_else(|| after.next_kind()))
    }
    async fn finding_names(
        &self,
        run: i64,
        extents: &[ExtentId],
    ) -> Result<Vec<(ExtentId, FoundName)>> {
        self.calls.within("finding_names", finding_names(&self.pool, run, extents)).await
    }
}

async fn ask_check(pool: &PgPool, heals: bool) -> Result<Option<i64>> {
    sqlx::query_scalar!("select ask_check_v1($1)", heals).fetch_one(pool).await.map_err(from_sqlx)
}

/// It has no findings before a gateway began with it, and is kept then.
async fn withdraw_check(pool: &PgPool, run: i64) -> Result<()> {
    sqlx::query!("delete from check_run where id = $1 and step = 0", run)
        .execute(pool)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}

/// The one of this number, or the first that is not done.
async fn check(pool: &PgPool, run: Option<i64>) -> Result<Option<CheckRun>> {
    let row = sqlx::query!(
        "select id, heals, step, is_done, state from check_run
        where id = $1 or $1 is null and not is_done order by id limit 1",
        run
    )
    .fetch_optional(pool)
    .await
    .map_err(from_sqlx)?;
    let Some(row) = row else { return Ok(None) };
    let step = size_from(row.step)?;
    Ok(Some(CheckRun {
        id: row.id,
        heals: row.heals,
        step,
        is_done: row.is_done,
        state: row.state,
    }))
}

async fn step_check(
    pool: &PgPool,
    run: &CheckRun,
    state: &str,
    is_done: bool,
    findings: &[Finding],
) -> Result<bool> {
    let bits = |set: fn(&Finding) -> ChunkSet| {
        findings.iter().map(|finding| i16::from(set(finding).0)).collect::<Vec<_>>()
    };
    let flags = |flag: fn(&Finding) -> bool| findings.iter().map(flag).collect::<Vec<_>>();
    let extents = findings.iter().map(|finding| finding.extent.to_uuid()).collect::<Vec<_>>();
    let nodes = findings.iter().flat_map(|finding| finding.placement).map(node_number);
    sqlx::query_scalar!(
        r#"select step_check_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as "is_first!""#,
        run.id,
        size_number(run.step)?,
        state,
        is_done,
        &extents,
        &bits(|finding| finding.absent),
        &bits(|finding| finding.known),
        &flags(|finding| finding.is_crowded),
        &flags(|finding| finding.is_lost),
        &nodes.collect::<Result<Vec<_>>>()?
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)
}

/// By the statistics that PostgreSQL keeps anyway; counting would read the table.
async fn extent_count(pool: &PgPool) -> Result<u64> {
    let count = sqlx::query_scalar!(
        r#"select greatest(c.reltuples, 0)::bigint as "count!"
        from pg_class c where c.oid = 'extent'::regclass"#
    )
    .fetch_one(pool)
    .await
    .map_err(from_sqlx)?;
    size_from(count)
}

/// An extent with its body.
struct CheckedColumns {
    id: Uuid,
    start: i64,
    size: i64,
    scheme: i16,
    missing: i16,
    nodes: Vec<i16>,
    body: Uuid,
    is_freed: bool,
}

impl CheckedColumns {
    fn checked(self) -> Result<Checked> {
        let Self { id, start, size, scheme, missing, nodes, body, is_freed } = self;
        let extent = ExtentColumns { id, start, size, scheme, missing, nodes }.extent()?;
        Ok(Checked { extent, body: BodyId(body), is_freed })
    }
}

async fn extents_by_id(
    pool: &PgPool,
    after: Option<ExtentId>,
    limit: usize,
) -> Result<Vec<Checked>> {
    let rows = sqlx::query_as!(
        CheckedColumns,
        r#"select e.id, e.start, e.size, e.scheme, e.missing, p.nodes, e.body_id as body,
            b.freed_at is not null as "is_freed!"
        from extent e join placement p on p.id = e.placement_id join body b on b.id = e.body_id
        where e.id > $1 order by e.id limit $2"#,
        behind(after),
        limit_number(limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    rows.into_iter().map(CheckedColumns::checked).collect()
}

async fn extents_of(pool: &PgPool, ids: &[ExtentId]) -> Result<Vec<Checked>> {
    let rows = sqlx::query_as!(
        CheckedColumns,
        r#"select e.id, e.start, e.size, e.scheme, e.missing, p.nodes, e.body_id as body,
            b.freed_at is not null as "is_freed!"
        from extent e join placement p on p.id = e.placement_id join body b on b.id = e.body_id
        where e.id = any ($1)"#,
        &uuids(ids)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    rows.into_iter().map(CheckedColumns::checked).collect()
}

async fn findings(
    pool: &PgPool,
    run: i64,
    only_open: bool,
    after: Option<ExtentId>,
    limit: usize,
) -> Result<Vec<Finding>> {
    let rows = sqlx::query!(
        "select extent, absent, known, crowded, lost, nodes, outcome from finding
        where run = $1 and (outcome = 0 or not $2) and extent > $3
        order by extent limit $4",
        run,
        only_open,
        behind(after),
        limit_number(limit)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let findings = rows.into_iter().map(|row| {
        let outcome = usize::try_from(row.outcome).ok();
        let outcome = outcome.and_then(|number| Outcome::ALL.get(number).copied());
        Ok(Finding {
            extent: ExtentId::from_uuid(row.extent),
            absent: chunks_from(row.absent)?,
            known: chunks_from(row.known)?,
            is_crowded: row.crowded,
            is_lost: row.lost,
            placement: placement_from(&row.nodes)?,
            outcome: outcome.ok_or_else(|| broken("an outcome that this release does not know"))?,
        })
    });
    findings.collect()
}

async fn settle_findings(pool: &PgPool, run: i64, settled: &[(ExtentId, Outcome)]) -> Result<()> {
    let extents = settled.iter().map(|(extent, _)| extent.to_uuid()).collect::<Vec<_>>();
    let outcomes = settled.iter().map(|(_, outcome)| *outcome as i16).collect::<Vec<_>>();
    sqlx::query!(
        "update finding f set outcome = s.outcome
        from unnest($2::uuid[], $3::smallint[]) as s (extent, outcome)
        where f.run = $1 and f.extent = s.extent",
        run,
        &extents,
        &outcomes
    )
    .execute(pool)
    .await
    .map_err(from_sqlx)?;
    Ok(())
}

/// Where a page of one kind of names ends; `None` when it was the last of its kind.
async fn name_page(
    pool: &PgPool,
    run: i64,
    after: &NameCursor,
    limit: usize,
) -> Result<Option<NameCursor>> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    match after {
        NameCursor::Current { bucket, key } => {
            let row = sqlx::query!(
                r#"select bucket_id as "bucket!", key as "key!"
                from name_current_v1($1, $2, $3, $4)"#,
                run,
                bucket,
                key.as_bytes(),
                limit
            );
            let row = row.fetch_optional(pool).await.map_err(from_sqlx)?;
            row.map(|row| Ok(NameCursor::Current { bucket: row.bucket, key: text_from(row.key)? }))
                .transpose()
        }
        NameCursor::Noncurrent { bucket, key, seq } => {
            let row = sqlx::query!(
                r#"select bucket_id as "bucket!", key as "key!", seq as "seq!"
                from name_noncurrent_v1($1, $2, $3, $4, $5)"#,
                run,
                bucket,
                key.as_bytes(),
                seq,
                limit
            );
            let row = row.fetch_optional(pool).await.map_err(from_sqlx)?;
            let Some(row) = row else { return Ok(None) };
            let (bucket, key, seq) = (row.bucket, text_from(row.key)?, row.seq);
            Ok(Some(NameCursor::Noncurrent { bucket, key, seq }))
        }
        NameCursor::Part { upload, number } => {
            let row = sqlx::query!(
                r#"select upload_id as "upload!", number as "number!"
                from name_parts_v1($1, $2, $3, $4)"#,
                run,
                Uuid::from_u128(*upload),
                number,
                limit
            );
            let row = row.fetch_optional(pool).await.map_err(from_sqlx)?;
            let Some(row) = row else { return Ok(None) };
            let (upload, number) = (row.upload.as_u128(), row.number);
            Ok(Some(NameCursor::Part { upload, number }))
        }
    }
}

async fn finding_names(
    pool: &PgPool,
    run: i64,
    extents: &[ExtentId],
) -> Result<Vec<(ExtentId, FoundName)>> {
    let rows = sqlx::query!(
        r#"select e.id, n.place, coalesce(b.name, '') as "bucket!", n.key, n.version,
            n.upload as "upload?", n.part as "part?"
        from extent e cross join lateral (
            select f.* from finding_name f where f.run = $1 and f.body = e.body_id
            order by f.place, f.bucket_id, f.key, f.version, f.upload, f.part limit $3
        ) n left join bucket b on b.id = n.bucket_id
        where e.id = any ($2) order by e.id, n.place, b.name, n.key, n.version, n.part"#,
        run,
        &uuids(extents),
        limit_number(NAMES_PER_FINDING)
    )
    .fetch_all(pool)
    .await
    .map_err(from_sqlx)?;
    let names = rows.into_iter().map(|row| {
        let what = match (row.place, row.upload, row.part) {
            (0, ..) => Named::Current(version_id(row.version)),
            (1, ..) => Named::Noncurrent(version_id(row.version)),
            (2, Some(upload), Some(part)) => {
                let number = u16::try_from(part).map_err(|_| broken("a part above 65535"))?;
                Named::Part(UploadId(upload), number)
            }
            _ => return Err(broken("a name that this release does not know")),
        };
        let name = FoundName { bucket: row.bucket, key: text_from(row.key)?, what };
        Ok((ExtentId::from_uuid(row.id), name))
    });
    names.collect()
}

/// No extent has the lowest id of all.
fn behind(after: Option<ExtentId>) -> Uuid {
    after.unwrap_or(ExtentId(0)).to_uuid()
}

fn uuids(ids: &[ExtentId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.to_uuid()).collect()
}

fn chunks_from(number: i16) -> Result<ChunkSet> {
    u8::try_from(number).map(ChunkSet).map_err(|_| broken("a set of more than six chunks"))
}

fn limit_number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
