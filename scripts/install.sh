#!/usr/bin/env bash
# Copies the programs of a release build to a directory, as root where that is needed.
#
#   scripts/install.sh BUILD-DIRECTORY BIN-DIRECTORY
set -euo pipefail

from=${1:?usage: scripts/install.sh BUILD-DIRECTORY BIN-DIRECTORY}
to=${2:?usage: scripts/install.sh BUILD-DIRECTORY BIN-DIRECTORY}

as_root=()
above=$to
while [ ! -e "$above" ]; do above=$(dirname -- "$above"); done
[ -w "$above" ] || as_root=(sudo)

"${as_root[@]}" install -d "$to"
"${as_root[@]}" install -m 755 "$from/sixfold" "$from/sixfold-node" "$to"
echo "make install: sixfold and sixfold-node are in $to"
