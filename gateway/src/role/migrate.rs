//! `sixfold migrate`: brings the database to this release's schema.

use super::admin::Target;

/// Migrates once, under a lock of the database.
pub async fn run(target: Target) -> anyhow::Result<()> {
    let pg = target.connect()?;
    crate::meta::migrate::migrate(pg.pool()).await?;
    if target.json {
        println!("{}", serde_json::json!({ "migrated": true }));
    } else {
        println!("the database has this release's schema");
    }
    Ok(())
}
