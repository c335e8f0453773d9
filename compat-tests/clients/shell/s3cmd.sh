#!/usr/bin/env bash
# s3cmd as Debian ships it.
. "$(dirname "$0")/check.sh"

host=${S3_ENDPOINT#http://}
cat >config <<END
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = $host
host_bucket = $host
use_https = False
progress_meter = False
END
s3cmd() { command s3cmd --config="$PWD/config" "$@"; }

s3cmd --version
make_tree tree
random_file big $((35 * MIB))

step "make a bucket and find it"
s3cmd mb "s3://$BUCKET"
contains "$(s3cmd ls)" "s3://$BUCKET"

step "put and get"
s3cmd put --mime-type text/x-sixfold tree/hello.txt "s3://$BUCKET/dir/hello.txt"
s3cmd get "s3://$BUCKET/dir/hello.txt" back.txt
cmp tree/hello.txt back.txt
contains "$(s3cmd ls "s3://$BUCKET")" "DIR"
about=$(s3cmd info "s3://$BUCKET/dir/hello.txt")
contains "$about" "text/x-sixfold"
contains "$about" "$(md5sum tree/hello.txt | cut -d' ' -f1)"
contains "$(s3cmd info "s3://$BUCKET")" "Location"

step "multipart put and get"
s3cmd put --multipart-chunk-size-mb=15 big "s3://$BUCKET/big"
s3cmd get "s3://$BUCKET/big" big.back
cmp big big.back
same "$(s3cmd multipart "s3://$BUCKET" | grep -c "s3://$BUCKET/big" || true)" 0

step "sync there and back"
s3cmd sync tree/ "s3://$BUCKET/tree/"
lacks "$(s3cmd sync tree/ "s3://$BUCKET/tree/")" "upload:"
mkdir tree.back
s3cmd sync "s3://$BUCKET/tree/" tree.back/
diff -r tree tree.back
rm tree/hello.txt
contains "$(s3cmd sync --delete-removed tree/ "s3://$BUCKET/tree/")" "delete:"

step "copy and move on the server"
s3cmd cp "s3://$BUCKET/big" "s3://$BUCKET/copied"
s3cmd mv "s3://$BUCKET/copied" "s3://$BUCKET/moved"
s3cmd get "s3://$BUCKET/moved" moved.back
cmp big moved.back
contains "$(s3cmd du "s3://$BUCKET")" "objects"

step "delete everything"
s3cmd del "s3://$BUCKET/dir/hello.txt"
refused "404" s3cmd info "s3://$BUCKET/dir/hello.txt"
s3cmd del --recursive --force "s3://$BUCKET/"
same "$(s3cmd ls "s3://$BUCKET")" ""
s3cmd rb "s3://$BUCKET"
