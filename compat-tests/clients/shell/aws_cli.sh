#!/usr/bin/env bash
# aws-cli, version 1 or 2: $AWS names the program.
. "$(dirname "$0")/check.sh"

# Without the progress lines, which would bury the output of a failure.
aws() {
  case "$1 ${2-}" in
  "s3 cp" | "s3 sync" | "s3 mv") command "$AWS" --endpoint-url "$S3_ENDPOINT" "$@" --no-progress ;;
  *) command "$AWS" --endpoint-url "$S3_ENDPOINT" "$@" ;;
  esac
}
api() { aws s3api "$@"; }

# Every answer must be right the first time.
export AWS_MAX_ATTEMPTS=1

aws --version
make_tree tree
random_file big $((20 * MIB))

step "make a bucket and find it"
aws s3 mb "s3://$BUCKET"
contains "$(aws s3 ls)" "$BUCKET"
api get-bucket-location --bucket "$BUCKET"
api get-bucket-versioning --bucket "$BUCKET"
api wait bucket-exists --bucket "$BUCKET"

step "copy in, copy out"
aws s3 cp tree/hello.txt "s3://$BUCKET/dir/hello.txt" --content-type text/x-sixfold \
  --metadata colour=blue --cache-control max-age=60
aws s3 cp "s3://$BUCKET/dir/hello.txt" back.txt
cmp tree/hello.txt back.txt
head=$(api head-object --bucket "$BUCKET" --key dir/hello.txt)
contains "$head" '"ContentType": "text/x-sixfold"'
contains "$head" '"colour": "blue"'
contains "$head" '"CacheControl": "max-age=60"'
contains "$(aws s3 ls "s3://$BUCKET/")" "PRE dir/"
contains "$(aws s3 ls "s3://$BUCKET/dir/")" "13 hello.txt"

step "multipart upload and parallel download"
aws s3 cp big "s3://$BUCKET/big"
aws s3 cp "s3://$BUCKET/big" big.back
cmp big big.back
contains "$(api head-object --bucket "$BUCKET" --key big --query ETag)" '-3\"'
contains "$(api head-object --bucket "$BUCKET" --key big --part-number 2)" '"PartsCount": 3'
attributes=$(api get-object-attributes --bucket "$BUCKET" --key big \
  --object-attributes ETag ObjectSize ObjectParts StorageClass)
contains "$attributes" '"ObjectSize": 20971520'
contains "$attributes" '"TotalPartsCount": 3'

step "stream from and to a pipe"
aws s3 cp - "s3://$BUCKET/piped" <big
aws s3 cp "s3://$BUCKET/piped" - | cmp big -

step "sync there and back"
aws s3 sync tree "s3://$BUCKET/tree"
same "$(aws s3 sync tree "s3://$BUCKET/tree")" ""
aws s3 sync "s3://$BUCKET/tree" tree.back
diff -r tree tree.back
rm tree/hello.txt
contains "$(aws s3 sync --delete tree "s3://$BUCKET/tree")" "delete: s3://$BUCKET/tree/hello.txt"

step "ranges, conditions, checksums"
api get-object --bucket "$BUCKET" --key dir/hello.txt --range bytes=6-12 part >/dev/null
same "$(cat part)" sixfold
refused "PreconditionFailed" api get-object --bucket "$BUCKET" --key dir/hello.txt --if-match '"no"' part
api put-object --bucket "$BUCKET" --key sums --body tree/deep/middle.bin --checksum-algorithm SHA256
sum=$(openssl dgst -sha256 -binary tree/deep/middle.bin | base64)
contains "$(api head-object --bucket "$BUCKET" --key sums --checksum-mode ENABLED)" "$sum"
refused "BadDigest" api put-object --bucket "$BUCKET" --key bad --body tree/deep/middle.bin \
  --content-md5 "$(printf x | openssl dgst -md5 -binary | base64)"
if [[ "$(aws --version)" == aws-cli/1.* ]]; then
  refused "PreconditionFailed" api put-object --bucket "$BUCKET" --key sums --if-none-match '*'
fi

step "copy and move on the server"
aws s3 cp "s3://$BUCKET/dir/hello.txt" "s3://$BUCKET/copied.txt"
same "$(aws s3 cp "s3://$BUCKET/copied.txt" -)" "hello sixfold"
contains "$(api head-object --bucket "$BUCKET" --key copied.txt)" '"colour": "blue"'
aws s3 cp "s3://$BUCKET/big" "s3://$BUCKET/big.copied"
aws s3 cp "s3://$BUCKET/big.copied" - | cmp big -
aws s3 mv "s3://$BUCKET/big.copied" "s3://$BUCKET/big.moved"
refused "404" api head-object --bucket "$BUCKET" --key big.copied

step "lists, page by page"
same "$(api list-objects-v2 --bucket "$BUCKET" --prefix tree/ --page-size 2 \
  --query 'length(Contents)')" 5
same "$(api list-objects --bucket "$BUCKET" --prefix tree/ --page-size 2 \
  --query 'length(Contents)')" 5
contains "$(api list-objects-v2 --bucket "$BUCKET" --delimiter / --query CommonPrefixes)" '"tree/"'
contains "$(api list-object-versions --bucket "$BUCKET" --prefix dir/)" '"VersionId": "null"'

step "an unfinished upload is listed and aborted"
upload=$(api create-multipart-upload --bucket "$BUCKET" --key part/ial --query UploadId --output text)
head -c $((5 * MIB)) big >part.1
api upload-part --bucket "$BUCKET" --key part/ial --upload-id "$upload" --part-number 1 \
  --body part.1 >/dev/null
contains "$(api list-parts --bucket "$BUCKET" --key part/ial --upload-id "$upload")" '"Size": 5242880'
contains "$(api list-multipart-uploads --bucket "$BUCKET")" "$upload"
api abort-multipart-upload --bucket "$BUCKET" --key part/ial --upload-id "$upload"
lacks "$(api list-multipart-uploads --bucket "$BUCKET")" "$upload"

step "a presigned link works without credentials"
# Version 1 presigns with SigV2 unless it is told otherwise.
command "$AWS" configure set default.s3.signature_version s3v4
same "$(curl -sS --fail "$(aws s3 presign "s3://$BUCKET/dir/hello.txt")")" "hello sixfold"

step "errors have names"
refused "NoSuchKey" api get-object --bucket "$BUCKET" --key nothing-here part
refused "NoSuchBucket" api list-objects-v2 --bucket "$BUCKET-none"
refused "BucketNotEmpty" api delete-bucket --bucket "$BUCKET"
AWS_SECRET_ACCESS_KEY=wrong refused "SignatureDoesNotMatch" aws s3 ls
AWS_ACCESS_KEY_ID=nobody refused "InvalidAccessKeyId" aws s3 ls

step "delete everything"
api delete-objects --bucket "$BUCKET" --delete '{"Objects":[{"Key":"sums"},{"Key":"not-there"}]}'
aws s3 rm "s3://$BUCKET/" --recursive >/dev/null
same "$(aws s3 ls "s3://$BUCKET/")" ""
aws s3 rb "s3://$BUCKET"
lacks "$(aws s3 ls)" "$BUCKET"
