#!/usr/bin/env bash
# Installs the real clients that compat-tests runs. Idempotent: a second run takes seconds.
#
#   compat-tests/install.sh [STEP…]     steps: postgresql debian prometheus python js go mc java rust, all by default; demo
#
# What isn't a Debian package goes below $SIXFOLD_CLIENTS (~/.cache/sixfold-clients), never into the system.
# A client that can't be had is an error: the tests prove nothing about a client that is not there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
clients=${SIXFOLD_CLIENTS:-$HOME/.cache/sixfold-clients}
log=$clients/install.log

say() { printf 'install: %s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

# Runs a command up to three times: a registry that answers 503 for a moment is no reason to fail.
# Its output goes to the log, and to the screen when it failed for good.
retry() {
  local attempt out
  out=$(mktemp)
  for attempt in 1 2 3; do
    if "$@" >"$out" 2>&1; then cat "$out" >>"$log"; rm -f "$out"; return 0; fi
    cat "$out" >>"$log"
    [ "$attempt" = 3 ] || { say "failed, trying again: $*"; sleep $((attempt * 10)); }
  done
  tail -n 30 "$out" >&2
  rm -f "$out"
  die "can't be had after 3 attempts: $* (whole output in $log)"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else
    command -v sudo >/dev/null || die "not root and no sudo: run as root: $*"
    sudo "$@"
  fi
}

# Whether the step's inputs are the ones it was last completed with.
fresh() { [ -f "$clients/$1.stamp" ] && [ "$(cat "$clients/$1.stamp")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$clients/$1.stamp"; }

apt_install() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "no apt-get here; install yourself: ${missing[*]}"
  say "Debian packages: ${missing[*]}"
  retry as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  retry as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}"
}

step_postgresql() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return 0
  # Only the server's programs are wanted; Debian would otherwise create and start a cluster of its own.
  as_root mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' |
    as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  apt_install postgresql
}

# What `make demo` needs.
step_demo() { apt_install rclone curl python3; }

step_debian() {
  apt_install rclone s3cmd restic awscli chromium chromium-driver python3-venv curl openssl libfaketime
}

# promtool tests the alerts. Only the program is taken out of its package: installed, the package
# would start a server.
step_prometheus() {
  local folder=$clients/prometheus
  [ -x "$folder/usr/bin/promtool" ] && return 0
  command -v apt-get >/dev/null || die "no apt-get here; put promtool at $folder/usr/bin/promtool"
  say "promtool, from Debian's package prometheus"
  retry as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  retry env -C "$folder.new" apt-get download -q prometheus
  dpkg -x "$folder.new"/prometheus_*.deb "$folder.new"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
}

# One virtual environment: name, then what pip is asked for.
venv() {
  local name=$1; shift
  fresh "python-$name" "$*" && return 0
  say "Python environment $name: $*"
  rm -rf "${clients:?}/$name"
  retry /usr/bin/python3 -m venv "$clients/$name"
  retry "$clients/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
  stamp "python-$name" "$*"
}

step_python() {
  apt_install python3-venv
  venv newest awscli boto3 selenium
  venv boto3-1.35 'boto3>=1.35,<1.36'
  venv crt 'boto3[crt]'
}

step_js() {
  command -v npm >/dev/null || die "npm is missing: install Node.js 20 or newer"
  local inputs
  inputs=$(cat "$here/clients/js/package.json" "$here/clients/js/package-lock.json" | sha256sum)
  fresh js "$inputs" && return 0
  say "AWS SDK for JavaScript"
  mkdir -p "$clients/js"
  cp "$here/clients/js/package.json" "$here/clients/js/package-lock.json" "$clients/js/"
  retry npm ci --prefix "$clients/js" --no-audit --no-fund --loglevel=error
  stamp js "$inputs"
}

need_go() { command -v go >/dev/null || die "go is missing: install Go 1.24 or newer"; }

step_go() {
  need_go
  local inputs
  inputs=$(cat "$here"/clients/go/*.go "$here"/clients/go/go.* | sha256sum)
  fresh go "$inputs" && return 0
  say "AWS SDK for Go"
  retry go build -C "$here/clients/go" -o "$clients/bin/go-client" .
  stamp go "$inputs"
}

step_mc() {
  need_go
  [ -x "$clients/bin/mc" ] && return 0
  say "mc (built from source, takes minutes)"
  retry env GOBIN="$clients/bin" go install github.com/minio/mc@latest
}

step_java() {
  command -v mvn >/dev/null || apt_install maven
  command -v javac >/dev/null || apt_install default-jdk-headless
  local inputs
  inputs=$(sha256sum <"$here/clients/java/pom.xml")
  fresh java "$inputs" && return 0
  say "AWS SDK for Java"
  rm -rf "$clients/java"
  retry mvn -q -B -f "$here/clients/java/pom.xml" \
    dependency:copy-dependencies -DoutputDirectory="$clients/java"
  stamp java "$inputs"
}

step_rust() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust"
  local inputs
  inputs=$(cat "$here"/clients/rust/Cargo.* "$here"/clients/rust/src/*.rs | sha256sum)
  fresh rust "$inputs" && return 0
  say "AWS SDK for Rust (built from source, takes minutes)"
  local manifest=$here/clients/rust/Cargo.toml
  retry cargo fetch --quiet --locked --manifest-path "$manifest"
  CARGO_TARGET_DIR="$clients/rust" cargo build --quiet --locked --offline --ignore-rust-version \
    --manifest-path "$manifest"
  stamp rust "$inputs"
}

mkdir -p "$clients/bin"
: >"$log"
steps=("$@")
[ ${#steps[@]} -gt 0 ] || steps=(postgresql debian prometheus python js java go rust mc)
for step in "${steps[@]}"; do
  declare -F "step_$step" >/dev/null || die "unknown step: $step"
  "step_$step"
done
say "clients ready in $clients"
