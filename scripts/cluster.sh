#!/usr/bin/env bash
# Starts Sixfold as separate processes on this machine: one gateway and six nodes, beside a PostgreSQL
# that DATABASE_URL names. Ctrl-C stops them all.
#
#   DATABASE_URL=postgres://… [SIXFOLD_NODE_DATABASE_URL=postgres://sixfold_node:…] scripts/cluster.sh DIR
#
# Without SIXFOLD_NODE_DATABASE_URL the nodes log in as the gateway does, which is fine on one machine;
# docs/deployment.md has the limited role for nodes elsewhere.
#
# Below DIR: drive1 … drive6, the cluster secret, the master key, one log and one pid file per process.
# On real machines the same lines run on seven of them; what they share is DATABASE_URL and the two
# secrets. Settings of the gateway (SIXFOLD_ROOT_ACCESS_KEY, SIXFOLD_ADDRESS, …) are handed on.
set -euo pipefail

dir=${1:?usage: DATABASE_URL=postgres://… scripts/cluster.sh DIR}
: "${DATABASE_URL:?names the PostgreSQL of the cluster}"
bin=${SIXFOLD_BIN_DIR:+$SIXFOLD_BIN_DIR/}
first_port=${SIXFOLD_NODE_PORT:-9101}

mkdir -p "$dir"
# Whoever has these two can read everything: the files belong to one account.
umask 077
[ -s "$dir/cluster.secret" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/cluster.secret"
[ -s "$dir/master.key" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/master.key"
export SIXFOLD_CLUSTER_SECRET_FILE=$dir/cluster.secret SIXFOLD_MASTER_KEY_FILE=$dir/master.key

"${bin}sixfold" migrate

processes=()
stop() {
  trap - EXIT INT TERM
  kill "${processes[@]}" 2>/dev/null || true
  wait || true
}
trap stop EXIT INT TERM

for number in 1 2 3 4 5 6; do
  mkdir -p "$dir/drive$number"
  DATABASE_URL=${SIXFOLD_NODE_DATABASE_URL:-$DATABASE_URL} "${bin}sixfold-node" "$dir/drive$number" \
    --listen "127.0.0.1:$((first_port + number - 1))" >>"$dir/node$number.log" 2>&1 &
  processes+=($!)
  echo $! >"$dir/node$number.pid"
done
"${bin}sixfold" gateway >>"$dir/gateway.log" 2>&1 &
processes+=($!)
echo $! >"$dir/gateway.pid"
echo "one gateway and six nodes run; logs are in $dir; Ctrl-C stops them"
# A node may be killed and started again by hand; the gateway's end is the end.
wait "${processes[-1]}"
