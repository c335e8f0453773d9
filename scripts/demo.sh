#!/usr/bin/env bash
# Real files go in, two drives go away while it runs, every byte comes back, and what is deleted leaves
# the drives. Once with `sixfold server`, once with one gateway and six node processes.
#
#   scripts/demo.sh [embedded|separate]      both by default
#
# DEMO_TREE        a folder with at least 20 000 files (by default the largest of the usual ones)
# DEMO_DIR         where servers and copies live (a fresh folder below /var/tmp)
# SIXFOLD_BIN_DIR  where sixfold and sixfold-node are
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${SIXFOLD_BIN_DIR:-${CARGO_TARGET_DIR:-$here/target}/release}
least_files=20000
large_bytes=$((1024 * 1024 * 1024 + 12345))
rest_limit=$((64 * 1024 * 1024))
rest_seconds=120
access=DEMOACCESSKEY
secret=demo-secret-of-this-run-only

# What the user has set for other servers must not reach this one.
unset "${!AWS_@}" "${!RCLONE_@}" DATABASE_URL

say() { printf 'demo: %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

[ -x "$bin/sixfold" ] && [ -x "$bin/sixfold-node" ] || die "no sixfold in $bin: run make build"
command -v rclone >/dev/null || "$here/compat-tests/install.sh" demo

count_files() { find "$1" -xdev -type f -readable 2>/dev/null | wc -l; }

# The tree: the one that is named, or the first usual one that is large enough.
choose_tree() {
  local candidate
  if [ -n "${DEMO_TREE:-}" ]; then echo "$DEMO_TREE"; return; fi
  for candidate in /usr/share /usr/lib "$HOME/.cargo/registry/src" /usr; do
    [ -d "$candidate" ] && [ "$(count_files "$candidate")" -ge "$least_files" ] || continue
    echo "$candidate"
    return
  done
  die "no folder with $least_files files: name one with DEMO_TREE"
}

table=()
# Forms that were begun and forms that went through: anything else is a failure.
begun=0
worked=0
note() { table+=("$(printf '%-10s %-46s %8s  %s' "$form" "$1" "$2" "$3")"); }

# timed WHAT COMMAND…: runs it, notes how long it took; what fails ends the form.
timed() {
  local what=$1 started=$SECONDS; shift
  say "$form: $what"
  if "$@" >"$work/output" 2>&1; then
    note "$what" "$((SECONDS - started)) s" ok
  else
    note "$what" "$((SECONDS - started)) s" FAILED
    tail -n 20 "$work/output" >&2
    return 1
  fi
}

# rclone knows the server by its environment; nothing is written to the user's configuration.
remote() {
  RCLONE_CONFIG=/dev/null RCLONE_CONFIG_DEMO_TYPE=s3 RCLONE_CONFIG_DEMO_PROVIDER=Other \
    RCLONE_CONFIG_DEMO_ENDPOINT=http://$address RCLONE_CONFIG_DEMO_REGION=us-east-1 \
    RCLONE_CONFIG_DEMO_ACCESS_KEY_ID=$access RCLONE_CONFIG_DEMO_SECRET_ACCESS_KEY=$secret \
    rclone --s3-force-path-style --transfers 8 --checkers 16 --stats 0 "$@"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

wait_ready() {
  local tries
  for tries in $(seq 240); do
    curl -sf "http://$admin/health/ready" >/dev/null && return 0
    sleep 0.5
  done
  tail -n 20 "$work"/*.log >&2
  die "the server did not become ready"
}

used() { du -s --block-size=1 "$work"/drive[1-6] 2>/dev/null | awk '{sum += $1} END {printf "%.0f", sum}'; }
mib() { echo "$(($1 / 1048576)) MiB"; }

start_embedded() {
  SIXFOLD_ROOT_ACCESS_KEY=$access SIXFOLD_ROOT_SECRET_KEY=$secret "$bin/sixfold" server \
    "$work"/drive{1,2,3,4,5,6} --meta-dir "$work/meta" --address "$address" \
    --admin-address "$admin" >>"$work/server.log" 2>&1 &
  processes+=($!)
}

start_separate() {
  local programs account=()
  programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  mkdir "$work/postgres"
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$work/postgres"
    account=(setpriv --reuid postgres --regid postgres --clear-groups)
  fi
  "${account[@]}" "$programs/initdb" -A trust -U postgres -E UTF8 --locale=C \
    -D "$work/postgres/data" >/dev/null
  # In a folder of its own: PostgreSQL's account need not be able to read where this script stands.
  (cd / && exec "${account[@]}" "$programs/postgres" -D "$work/postgres/data" \
    -k "$work/postgres" -c listen_addresses= -c max_connections=200) >>"$work/postgres.log" 2>&1 &
  processes+=($!)
  until psql -h "$work/postgres" -U postgres -c 'select 1' >/dev/null 2>&1; do sleep 0.2; done
  DATABASE_URL="postgres://postgres@localhost/postgres?host=$work/postgres" \
    SIXFOLD_BIN_DIR=$bin SIXFOLD_NODE_PORT=$((20000 + RANDOM % 10000)) \
    SIXFOLD_ROOT_ACCESS_KEY=$access SIXFOLD_ROOT_SECRET_KEY=$secret \
    SIXFOLD_ADDRESS=$address SIXFOLD_ADMIN_ADDRESS=$admin \
    "$here/scripts/cluster.sh" "$work" >>"$work/cluster.log" 2>&1 &
  processes+=($!)
}

# Two drives go: the folders vanish from under the running server; or the processes stand still, which
# looks like a machine that hangs.
take_away() {
  local number
  for number in 2 5; do
    case $form in
    embedded) mv "$work/drive$number" "$work/away$number" ;;
    separate) kill -STOP "$(cat "$work/node$number.pid")" ;;
    esac
  done
}

bring_back() {
  local number
  for number in 2 5; do
    case $form in
    embedded) rm -rf "${work:?}/drive$number"; mv "$work/away$number" "$work/drive$number" ;;
    separate) kill -CONT "$(cat "$work/node$number.pid")" ;;
    esac
  done
}

stop_all() {
  local index
  # The last one started is stopped first: the gateway before its database.
  for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
    kill "${processes[index]}" 2>/dev/null || continue
    wait "${processes[index]}" 2>/dev/null || true
  done
  processes=()
}

# What is still on the drives two minutes after everything was deleted.
shrink() {
  local peak=$1 limit now until=$((SECONDS + rest_seconds))
  limit=$((peak / 100 > rest_limit ? peak / 100 : rest_limit))
  while now=$(used); [ "$now" -gt "$limit" ]; do
    [ "$SECONDS" -lt "$until" ] || { echo "$now bytes are still used" >&2; return 1; }
    sleep 1
  done
  echo "$now"
}

run_form() {
  form=$1 work=$demo/$1 processes=()
  address=127.0.0.1:$(free_port) admin=127.0.0.1:$(free_port)
  mkdir -p "$work"/drive{1,2,3,4,5,6}
  chmod 755 "$work"
  "start_$form"
  wait_ready
  local peak status=0
  begun=$((begun + 1))
  scenario || status=1
  stop_all
  if [ "$status" = 0 ]; then worked=$((worked + 1)); else tail -n 5 "$work"/*.log >&2; fi
}

scenario() {
  timed "make a bucket" remote mkdir demo:demo || return 1
  timed "sync $files files in" remote sync "${filter[@]}" "$tree" demo:demo/tree || return 1
  timed "copy one file of $(mib $large_bytes) in" remote copy "$demo/large" demo:demo || return 1
  timed "read everything back, byte by byte" check_all || return 1
  peak=$(used)
  note "the drives hold" "" "$(mib "$peak")"
  take_away
  timed "two drives away: read everything back" check_all || return 1
  timed "two drives away: write" remote copyto "$demo/large/large.bin" demo:demo/second || return 1
  bring_back
  timed "drives back: read everything back" check_all || return 1
  timed "drives back: read what they missed" same_large demo:demo/second || return 1
  peak=$(used)
  timed "delete everything" remote purge demo:demo || return 1
  timed "the drives are empty again" shrink "$peak" || return 1
  note "the drives hold" "" "$(mib "$(used)")"
}

check_all() {
  remote check --download --one-way "${filter[@]}" "$tree" demo:demo/tree &&
    same_large demo:demo/large.bin
}

same_large() { remote cat "$1" | cmp - "$demo/large/large.bin"; }

tree=$(choose_tree)
files=$(count_files "$tree")
[ "$files" -ge "$least_files" ] || die "$tree has $files files, $least_files are needed"
# Links are not objects; what this account can't read is no test of ours.
filter=(--skip-links)
demo=${DEMO_DIR:-$(mktemp -d /var/tmp/sixfold-demo.XXXXXX)}
mkdir -p "$demo/large"
chmod 755 "$demo"
processes=()
trap 'stop_all; [ -n "${DEMO_DIR:-}" ] || rm -rf "$demo"' EXIT
say "$tree has $files files; working in $demo"
head -c "$large_bytes" /dev/urandom >"$demo/large/large.bin"

for wanted in "${@:-embedded separate}"; do
  for one in $wanted; do run_form "$one"; done
done

printf '\n%-10s %-46s %8s  %s\n' form step took result
printf '%s\n' "${table[@]}"
[ "$begun" -gt 0 ] && [ "$worked" = "$begun" ] || die "FAILED"
say "all of it worked"
