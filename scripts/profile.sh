#!/usr/bin/env bash
# Flame graphs of the hot paths: PUT and GET of 4 KiB and of 16 MiB, of all processes of a
# `sixfold server`. Called by `make profile`; needs linux-perf and inferno, which it installs.
#
#   scripts/profile.sh FOLDER BENCH_PROGRAM…     FOLDER gets put-4k.svg, get-4k.svg, …
set -euo pipefail

folder=${1:?usage: scripts/profile.sh FOLDER BENCH_PROGRAM…}
shift
seconds=${SECONDS_EACH:-5}

say() { printf 'make profile: %s\n' "$*"; }
die() { printf 'make profile: %s\n' "$*" >&2; exit 1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v perf >/dev/null; then
  say "installing linux-perf"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends linux-perf \
    >/dev/null || die "linux-perf can't be installed; install the perf of your kernel yourself"
fi
if ! command -v inferno-flamegraph >/dev/null; then
  say "installing inferno, which draws the graphs"
  CARGO_TARGET_DIR= cargo install --quiet --locked inferno
  PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
fi

# The database runs as another account: looking at it takes root, or a kernel that lets everybody.
probe=$(mktemp)
trap 'rm -f "$probe"' EXIT
perf record --quiet --event cpu-clock --output "$probe" -- true 2>"$probe.errors" || {
  cat "$probe.errors" >&2
  rm -f "$probe.errors"
  die "perf is not permitted here (kernel.perf_event_paranoid is $(cat /proc/sys/kernel/perf_event_paranoid)):" \
    "run it as root, or: sysctl kernel.perf_event_paranoid=-1; in a container add --cap-add PERFMON"
}
rm -f "$probe.errors"

mkdir -p "$folder"
"$@" profile --seconds "$seconds" --out "$folder"
for path in put-4k get-4k put-16m get-16m; do
  say "drawing $folder/$path.svg"
  # Looking up what was inlined takes perf an hour; the function it is in says enough.
  perf script --no-inline --input "$folder/$path.perf" 2>/dev/null \
    | inferno-collapse-perf --quiet >"$folder/$path.folded"
  inferno-flamegraph --title "$path, all processes" "$folder/$path.folded" >"$folder/$path.svg"
  rm "$folder/$path.perf"
done
