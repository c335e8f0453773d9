#!/usr/bin/env bash
# mc, MinIO's client; $MC names the program.
. "$(dirname "$0")/check.sh"

mc() { command "$MC" --config-dir "$HOME/.mc" --no-color "$@"; }

mc --version
make_tree tree
random_file big $((70 * MIB))

step "a wrong secret is refused by name"
mc alias set wrong "$S3_ENDPOINT" "$AWS_ACCESS_KEY_ID" not-the-secret || true
refused "signature" mc ls wrong
mc alias set six "$S3_ENDPOINT" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"

step "make a bucket and find it"
mc mb "six/$BUCKET"
mc mb --ignore-existing "six/$BUCKET"
contains "$(mc ls six)" "$BUCKET/"

step "copy in, copy out"
mc cp --attr colour=blue tree/hello.txt "six/$BUCKET/dir/hello.txt"
same "$(mc cat "six/$BUCKET/dir/hello.txt")" "hello sixfold"
contains "$(mc stat "six/$BUCKET/dir/hello.txt")" "blue"
contains "$(mc ls "six/$BUCKET")" "dir/"
mc cp big "six/$BUCKET/big" >/dev/null
mc cp "six/$BUCKET/big" big.back >/dev/null
cmp big big.back
mc pipe "six/$BUCKET/piped" <big >/dev/null
mc cat "six/$BUCKET/piped" | cmp big -
same "$(mc head -n 1 "six/$BUCKET/dir/hello.txt")" "hello sixfold"

step "copy on the server"
mc cp "six/$BUCKET/big" "six/$BUCKET/big.copied" >/dev/null
mc cat "six/$BUCKET/big.copied" | cmp big -
mc mv "six/$BUCKET/big.copied" "six/$BUCKET/big.moved" >/dev/null
refused "" mc stat "six/$BUCKET/big.copied"

step "mirror there and back"
mc mirror tree "six/$BUCKET/tree" >/dev/null
mc mirror "six/$BUCKET/tree" tree.back >/dev/null
diff -r tree tree.back
rm tree/hello.txt
mc mirror --remove --overwrite tree "six/$BUCKET/tree" >/dev/null
lacks "$(mc ls --recursive "six/$BUCKET/tree")" "hello.txt"
same "$(mc diff tree "six/$BUCKET/tree")" ""
contains "$(mc find "six/$BUCKET" --name '*.bin')" "deep/middle.bin"
contains "$(mc du "six/$BUCKET")" "$BUCKET"

step "a shared link works without credentials"
link=$(mc --json share download --expire 1h "six/$BUCKET/dir/hello.txt" |
  sed 's/.*"share":"\([^"]*\)".*/\1/' | sed 's/\\u0026/\&/g')
same "$(curl -sS --fail "$link")" "hello sixfold"

step "versions are kept, shown, brought back and removed"
old="six/$BUCKET-old"
mc mb "$old"
mc version enable "$old"
contains "$(mc version info "$old")" "enabled"
for text in one two; do printf %s "$text" | mc pipe "$old/key" >/dev/null; done
first=$(mc --json ls --versions "$old/key" | sed -n 's/.*"versionId":"\([^"]*\)".*/\1/p' | tail -n 1)
same "$(mc cat --version-id "$first" "$old/key")" "one"
mc rm "$old/key"
refused "" mc stat "$old/key"
listed=$(mc --json ls --versions "$old/key")
same "$(grep -c '"isDeleteMarker":true' <<<"$listed")" 1
contains "$(head -n 1 <<<"$listed")" '"isDeleteMarker":true'
mc undo --force "$old/key"
same "$(mc cat "$old/key")" "two"
mc version suspend "$old"
contains "$(mc version info "$old")" "suspended"
refused "" mc rb "$old"
mc rm --recursive --versions --force "$old/" >/dev/null
mc rb "$old"

step "tags are set, listed and removed"
mc tag set "six/$BUCKET/big" "colour=blue&size=large"
contains "$(mc tag list "six/$BUCKET/big")" "blue"
mc tag set "six/$BUCKET" "team=storage"
contains "$(mc tag list "six/$BUCKET")" "storage"
mc tag remove "six/$BUCKET/big"
lacks "$(mc tag list "six/$BUCKET/big" 2>&1 || true)" "blue"
mc tag remove "six/$BUCKET"
refused "" mc tag list "six/$BUCKET"

step "health is told"
mc ready six

step "delete everything"
mc rm "six/$BUCKET/dir/hello.txt"
refused "" mc stat "six/$BUCKET/dir/hello.txt"
mc rm --recursive --force "six/$BUCKET/" >/dev/null
same "$(mc ls "six/$BUCKET")" ""
mc rb "six/$BUCKET"
lacks "$(mc ls six)" "$BUCKET/"
