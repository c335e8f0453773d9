# Sourced by the programs beside it: fails on the first command that fails, and says which step it was.
#
# Environment: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, BUCKET (a name
# that is free), an empty current directory and an empty HOME.
set -euo pipefail

step_name=start
trap 'echo "FAILED at step: $step_name (line $LINENO)" >&2' ERR

step() { step_name=$*; echo "step: $*"; }
fail() { echo "FAILED at step: $step_name: $*" >&2; exit 1; }

# contains TEXT PART: the part is in the text.
contains() { case "$1" in *"$2"*) ;; *) fail "expected '$2' in: $1" ;; esac; }
# lacks TEXT PART: the part is not in the text.
lacks() { case "$1" in *"$2"*) fail "did not expect '$2' in: $1" ;; *) ;; esac; }
# same A B: both texts are equal.
same() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }
# refused PART COMMAND…: the command fails and its output holds the part.
refused() {
  local part=$1 output; shift
  if output=$("$@" 2>&1); then fail "should have been refused: $*"; fi
  contains "$output" "$part"
}

# A tree of files as people have them: empty, nested, with spaces, signs and letters beyond ASCII.
make_tree() {
  mkdir -p "$1/deep/er/still" "$1/with space"
  printf 'hello sixfold' >"$1/hello.txt"
  : >"$1/empty"
  printf 'a' >"$1/deep/er/still/one-byte"
  printf 'plus' >"$1/with space/a+b & c=d%20.txt"
  printf 'umlaut' >"$1/grüße-日本.txt"
  head -c 300000 /dev/urandom >"$1/deep/middle.bin"
}
random_file() { head -c "$2" /dev/urandom >"$1"; }
MIB=1048576
