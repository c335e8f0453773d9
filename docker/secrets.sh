#!/usr/bin/env bash
# Makes the secrets of docker/compose.yaml, random ones, once: what is there stays as it is.
#
#   docker/secrets.sh [DIR]      DIR is docker/secrets by default
#
# The directory is closed to other accounts of this machine. The files in it are readable, because
# containers get them one by one, as they are, and run as accounts of their own.
set -euo pipefail

dir=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets}
mkdir -p "$dir"
chmod 700 "$dir"

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# Writes standard input to a new file below the directory, whole or not at all.
make() {
  [ -s "$dir/$1" ] && { cat >/dev/null; return; }
  cat >"$dir/$1.new"
  chmod 444 "$dir/$1.new"
  mv "$dir/$1.new" "$dir/$1"
}

for name in postgres.password owner.password node.password grafana.password; do
  random 16 | make "$name"
done
for name in cluster.secret master.key admin.token; do
  random 32 | make "$name"
done

host=${SIXFOLD_DATABASE_HOST:-postgres:5432}
printf 'postgres://sixfold:%s@%s/sixfold' "$(cat "$dir/owner.password")" "$host" | make owner.url
printf 'postgres://sixfold_node:%s@%s/sixfold' "$(cat "$dir/node.password")" "$host" | make node.url

echo "secrets are in $dir; keep copies of master.key and cluster.secret elsewhere"
