#!/usr/bin/env bash
# restic as Debian ships it: backups whose every byte is checked.
. "$(dirname "$0")/check.sh"

export RESTIC_REPOSITORY="s3:$S3_ENDPOINT/$BUCKET/repository" RESTIC_PASSWORD=correct-horse
restic() { command restic --no-cache --quiet "$@"; }

command restic version
make_tree tree
random_file tree/big $((40 * MIB))

step "init makes the bucket"
restic init
refused "" restic init

step "back up twice"
restic backup tree
printf 'more' >>tree/hello.txt
rm tree/empty
restic backup tree
same "$(restic snapshots --json | tr '{' '\n' | grep -c '"short_id"')" 2

step "read every byte"
restic check --read-data

step "restore"
restic restore latest --target restored
diff -r tree "$(find restored -type d -name tree)"

step "forget and prune delete what is no longer needed"
restic forget --keep-last 1 --prune
restic check --read-data
same "$(restic snapshots --json | tr '{' '\n' | grep -c '"short_id"')" 1
