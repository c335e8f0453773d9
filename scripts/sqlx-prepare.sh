#!/usr/bin/env bash
# Rewrites .sqlx/, what the checked queries need to build without a database. With --check it changes
# nothing and fails when .sqlx/ is stale. It starts a PostgreSQL of its own in a temporary folder, on a
# socket alone, and stops it again; or DATABASE_URL names an empty database.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d /tmp/sixfold-sqlx-XXXXXX)
prepared=$scratch/prepared
mkdir "$prepared"
bin=
as_account() { "$@"; }

finish() {
  if [ -f "$scratch/data/postmaster.pid" ]; then
    as_account "$bin/pg_ctl" -D "$scratch/data" -m immediate -s stop || true
  fi
  rm -rf "$scratch"
}
trap finish EXIT

start_postgresql() {
  bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb)")
  # PostgreSQL refuses to run as root.
  if [ "$(id -u)" = 0 ]; then
    as_account() { (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$@"); }
    chmod 755 "$scratch"
    install -d -o postgres -g postgres "$scratch/data" "$scratch/socket"
  else
    mkdir "$scratch/data" "$scratch/socket"
  fi
  as_account "$bin/initdb" -D "$scratch/data" --auth=trust --username=postgres --no-sync \
    --encoding=UTF8 --locale=C >/dev/null
  as_account "$bin/pg_ctl" -D "$scratch/data" -s -w -l "$scratch/data/log" \
    -o "-c listen_addresses= -c fsync=off -k $scratch/socket" start
  DATABASE_URL="postgres://postgres@localhost/postgres?host=$scratch/socket"
}

[ -n "${DATABASE_URL-}" ] || start_postgresql
export DATABASE_URL
for migration in migrations/*.sql; do
  psql "$DATABASE_URL" --quiet --no-psqlrc -v ON_ERROR_STOP=1 -f "$migration" >/dev/null
done
# The macros write while the crate is compiled: make sure that it is.
touch gateway/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$prepared" \
  cargo check --quiet --ignore-rust-version --package sixfold --all-targets
if [ "${1-}" = --check ]; then
  diff -r .sqlx "$prepared" || { echo ".sqlx/ is stale: run make sqlx" >&2; exit 1; }
  exit 0
fi
mkdir -p .sqlx
rm -f .sqlx/query-*.json
cp "$prepared"/query-*.json .sqlx/
