#!/usr/bin/env bash
# Whether a PostgreSQL that root starts for `sixfold server DIR` could reach DIR: it runs as the account
# postgres, or nobody where there is none. Says which directory stops it.
set -euo pipefail

dir=${1:?usage: scripts/check-reach.sh DIR}
[ "$(id -u)" = 0 ] || exit 0

account=postgres
id -u "$account" >/dev/null 2>&1 || account=nobody
as_account() {
  (cd / && setpriv --reuid "$(id -u "$account")" --regid "$(id -g "$account")" --clear-groups "$@")
}

# What does not exist yet is made so that it can be passed.
target=$(realpath -m -- "$dir")
way=()
while [ "$target" != / ]; do
  [ ! -d "$target" ] || way=("$target" "${way[@]}")
  target=$(dirname -- "$target")
done
for part in "${way[@]}"; do
  if ! as_account test -x "$part"; then
    echo "make run: root's PostgreSQL runs as $account, which can't pass $part:" \
      "name another directory (make run DIR=/srv/sixfold), or run as another user, or chmod o+x $part" >&2
    exit 1
  fi
done
