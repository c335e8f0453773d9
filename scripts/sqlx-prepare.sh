#!/bin/sh
# Rewrites .sqlx/, what the checked queries need to build without a database. With --check it changes
# nothing and fails when .sqlx/ is stale. DATABASE_URL names an empty database, which is migrated here
# with psql; nothing is started.
set -eu
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?names an empty PostgreSQL database}"
for migration in migrations/*.sql; do
    psql "$DATABASE_URL" --quiet --no-psqlrc -v ON_ERROR_STOP=1 -f "$migration"
done
prepared=$(mktemp -d)
trap 'rm -rf "$prepared"' EXIT
# The macros write while the crate is compiled: make sure that it is.
touch gateway/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$prepared" \
    cargo check --ignore-rust-version --package sixfold --all-targets
if [ "${1-}" = --check ]; then
    diff -r .sqlx "$prepared" || { echo ".sqlx/ is stale: run scripts/sqlx-prepare.sh" >&2; exit 1; }
    exit 0
fi
mkdir -p .sqlx
rm -f .sqlx/query-*.json
cp "$prepared"/query-*.json .sqlx/
