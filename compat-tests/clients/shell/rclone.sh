#!/usr/bin/env bash
# rclone as Debian ships it, configured by its environment.
. "$(dirname "$0")/check.sh"

export RCLONE_CONFIG=/dev/null RCLONE_CONFIG_SIX_TYPE=s3 RCLONE_CONFIG_SIX_PROVIDER=Minio \
  RCLONE_CONFIG_SIX_ENDPOINT=$S3_ENDPOINT RCLONE_CONFIG_SIX_ENV_AUTH=true

rclone version
make_tree tree
random_file tree/big $((210 * MIB))
touch -d '2001-02-03T04:05:06.123456Z' tree/hello.txt

step "sync in and check every byte"
rclone mkdir "six:$BUCKET"
contains "$(rclone lsd six:)" "$BUCKET"
rclone sync tree "six:$BUCKET/tree"
rclone check --download tree "six:$BUCKET/tree"
rclone check tree "six:$BUCKET/tree"
contains "$(rclone sync --dry-run tree "six:$BUCKET/tree" 2>&1)" "0 B"

step "the time of modification is kept"
contains "$(TZ=UTC rclone lsl "six:$BUCKET/tree/hello.txt")" "2001-02-03 04:05:06.123456"
touch -d '2002-02-03T04:05:06Z' tree/hello.txt
rclone sync tree "six:$BUCKET/tree"
contains "$(TZ=UTC rclone lsl "six:$BUCKET/tree/hello.txt")" "2002-02-03 04:05:06"

step "copy and move on the server"
rclone copyto "six:$BUCKET/tree/big" "six:$BUCKET/copied"
rclone cat "six:$BUCKET/copied" | cmp tree/big -
rclone moveto "six:$BUCKET/copied" "six:$BUCKET/moved"
lacks "$(rclone lsf "six:$BUCKET")" "copied"
same "$(rclone cat --offset 6 --count 7 "six:$BUCKET/tree/hello.txt")" "sixfold"

step "stream from a pipe"
rclone rcat "six:$BUCKET/piped" <tree/big
rclone cat "six:$BUCKET/piped" | cmp tree/big -

step "sync out"
rclone sync "six:$BUCKET/tree" tree.back
diff -r tree tree.back

step "what is gone here is removed there"
rm tree/hello.txt
rclone sync tree "six:$BUCKET/tree"
lacks "$(rclone lsf "six:$BUCKET/tree")" "hello.txt"

step "a shared link works without credentials"
same "$(curl -sS --fail "$(rclone link --expire 1h "six:$BUCKET/tree/deep/er/still/one-byte")")" "a"

step "old versions are listed, read and cleaned up"
old="six:$BUCKET-old"
rclone mkdir "$old"
contains "$(rclone backend versioning "$old" Enabled)" "Enabled"
printf one | rclone rcat "$old/notes.txt"
printf two | rclone rcat "$old/notes.txt"
rclone deletefile "$old/notes.txt"
same "$(rclone lsf "$old")" ""
same "$(rclone --s3-versions lsf "$old" | wc -l)" 2
bodies=$(rclone --s3-versions cat "$old")
contains "$bodies" "one"
contains "$bodies" "two"
rclone backend cleanup-hidden "$old"
same "$(rclone --s3-versions lsf "$old")" ""
rclone purge "$old"

step "delete everything"
rclone purge "six:$BUCKET"
lacks "$(rclone lsd six:)" "$BUCKET"
