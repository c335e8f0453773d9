"""What an exacting client compares: odd keys, every list against a model, answers with each other,
and what another user may do.

Environment: as `boto3_client.py`, and ALT_ACCESS_KEY and ALT_SECRET_KEY of a second user.
"""

import os
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = os.environ["BUCKET"]
MIB = 1024 * 1024
ODD_KEYS = [
    "a+b", "a%20b", "a b", "%", "%25", "//", "/lead", "a//b", "..", "a/../b", "./x", "é" * 512,
    "😀", "e\u0301", "\u00e9", "a\tb", "a\nb", "a\rb", "&<>\"'", "*?#[]{}^`|~", "C:\\x", "trail/",
    " lead", "trail ", "\ufeff", "k" * 1024, "?x=y&z", ";v=1", "\u2028", "%2F", "null", "minio",
]
# XML 1.0 can't carry these; only lists with encoding-type=url give them back.
UNWRITABLE_KEYS = ["\x01\x02", "\x1f", "a\uffff"]


def client(access_key=None, secret_key=None):
    return boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


s3 = client()
alt = client(os.environ["ALT_ACCESS_KEY"], os.environ["ALT_SECRET_KEY"])


def step(name):
    print("step:", name, flush=True)


def by_bytes(text):
    return text.encode()


def entries(operation, **arguments):
    """A whole list, page by page: keys as ("K", key), common prefixes as ("P", prefix)."""
    found, place = [], {}
    while True:
        answer = getattr(s3, operation)(
            Bucket=BUCKET, EncodingType="url", **{**arguments, **place}
        )
        decoded = urllib.parse.unquote
        keys = answer.get("Contents", answer.get("Versions", []))
        page = [("K", decoded(entry["Key"])) for entry in keys]
        page += [("P", decoded(one["Prefix"])) for one in answer.get("CommonPrefixes", [])]
        page.sort(key=lambda entry: by_bytes(entry[1]))
        found += page
        if not answer["IsTruncated"]:
            return found
        assert len(page) == arguments["MaxKeys"], (operation, arguments, len(page))
        if operation == "list_objects_v2":
            assert answer["KeyCount"] == len(page)
            place = {"ContinuationToken": answer["NextContinuationToken"]}
        elif operation == "list_objects":
            marker = decoded(answer["NextMarker"]) if "NextMarker" in answer else page[-1][1]
            place = {"Marker": marker}
        else:
            place = {"KeyMarker": decoded(answer["NextKeyMarker"])}
            if "NextVersionIdMarker" in answer:
                place["VersionIdMarker"] = answer["NextVersionIdMarker"]


def odd_keys():
    step("odd keys")
    keys = sorted(ODD_KEYS + UNWRITABLE_KEYS, key=by_bytes)
    for key in keys:
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)
        one = dict(Bucket=BUCKET, Key=key, UploadId=upload["UploadId"])
        part = s3.upload_part(**one, PartNumber=1, Body=key.encode())
        listed = s3.list_parts(**one)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"].strip('"')}]}
        done = s3.complete_multipart_upload(**one, MultipartUpload=parts)
        if key not in UNWRITABLE_KEYS and key != "a\rb":
            assert upload["Key"] == listed["Key"] == done["Key"] == key, (key, upload, done)
        again = s3.complete_multipart_upload(**one, MultipartUpload=parts)
        for field in ("ETag", "ChecksumType", "ChecksumCRC64NVME"):
            assert again[field] == done[field], (key, field)
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode(), key
        s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": key})
        assert s3.get_object(Bucket=BUCKET, Key="copy")["Body"].read() == key.encode(), key
        s3.delete_object(Bucket=BUCKET, Key="copy")
        link = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
        assert urllib.request.urlopen(link).read() == key.encode(), key
    for operation in ("list_objects_v2", "list_objects", "list_object_versions"):
        assert entries(operation, MaxKeys=7) == [("K", key) for key in keys], operation
    gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(gone["Deleted"]) == len(keys) and "Errors" not in gone, gone
    assert entries("list_objects_v2", MaxKeys=1000) == []


def model(keys, prefix, delimiter, after):
    """What a list must give: one entry for all keys that share a prefix up to a delimiter.

    A start within such a prefix is behind all of it: what counts is the entry shown.
    """
    found = []
    for key in keys:
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = ("K", key) if end < 0 else ("P", key[: end + len(delimiter)])
        if by_bytes(entry[1]) > by_bytes(after) and entry not in found[-1:]:
            found.append(entry)
    return found


def lists():
    step("lists against a model")
    chance = random.Random(7)
    letters = ["a", "b", "/", "//", "é", "😀", "~", " ", "+", "%", ".", "dir/", "::", "\x01"]
    keys = {"".join(chance.choices(letters, k=chance.randint(1, 6))) for _ in range(500)}
    keys = sorted(keys, key=by_bytes)
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    starts = {
        "list_objects_v2": "StartAfter", "list_objects": "Marker",
        "list_object_versions": "KeyMarker",
    }
    for operation, start in starts.items():
        for _ in range(40):
            prefix = chance.choice(["", "", "a", "dir/", "é", "//", "\x01", "none"])
            delimiter = chance.choice(["", "/", "//", "dir/", "é", "::", "😀"])
            after = chance.choice(["", "a", "b/b", "dir/a", "é", "~", "//a", "zz"])
            size = chance.choice([3, 7, 50, 1000])
            given = {"Prefix": prefix, "Delimiter": delimiter, start: after, "MaxKeys": size}
            given = {name: value for name, value in given.items() if value != ""}
            expected = model(keys, prefix, delimiter, after)
            assert entries(operation, **given) == expected, (operation, given)
        none = getattr(s3, operation)(Bucket=BUCKET, MaxKeys=0)
        assert not none["IsTruncated"] and "Contents" not in none and "Versions" not in none
        assert getattr(s3, operation)(Bucket=BUCKET, MaxKeys=1001)["MaxKeys"] == 1000
    objects = [{"Key": key} for key in keys]
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": True})


def fetched(method, key, headers, **parameters):
    """Status and headers of a presigned GET or HEAD with headers that the link doesn't sign."""
    operation = "get_object" if method == "GET" else "head_object"
    names = {"Bucket": BUCKET, "Key": key, **parameters}
    link = s3.generate_presigned_url(operation, Params=names)
    request = urllib.request.Request(link, method=method, headers=headers)
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    ignored = ("date", "x-amz-request-id", "x-amz-id-2")
    shown = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status >= 400:
        ignored += ("content-length", "content-type", "transfer-encoding")
    return answer.status, {name: shown[name] for name in shown if name not in ignored}


def reads():
    step("HEAD says what GET says")
    s3.put_object(
        Bucket=BUCKET, Key="whole", Body=b"hello world", ContentType="text/x", CacheControl="c",
        ContentDisposition="d", ContentLanguage="de", ContentEncoding="deflate, gzip",
        Metadata={"a": "b"},
    )
    head = s3.head_object(Bucket=BUCKET, Key="whole")
    assert head["ContentEncoding"] == "deflate, gzip", head
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    one = dict(Bucket=BUCKET, Key="parts", UploadId=upload)
    done = []
    for number, body in [(1, bytes(5 * MIB)), (2, b"tail")]:
        part = s3.upload_part(**one, PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**one, MultipartUpload={"Parts": done})
    etag, old = head["ETag"], "Thu, 01 Jan 1998 00:00:00 GMT"
    modified = fetched("HEAD", "whole", {})[1]["last-modified"]
    for status, headers in [
        (200, {}),
        (206, {"Range": "bytes=0-3"}),
        (206, {"Range": "bytes=-3"}),
        (206, {"Range": "bytes=3-99"}),
        (416, {"Range": "bytes=11-"}),
        (416, {"Range": "bytes=-0"}),
        (206, {"Range": "bytes=0-3", "If-Range": etag}),
        (206, {"Range": "bytes=0-3", "If-Range": modified}),
        (200, {"Range": "bytes=0-3", "If-Range": '"other"'}),
        (200, {"Range": "bytes=0-3", "If-Range": old}),
        (304, {"If-None-Match": etag}),
        (304, {"If-None-Match": "*"}),
        (304, {"If-Modified-Since": modified}),
        (200, {"If-Modified-Since": old}),
        (412, {"If-Match": '"other"'}),
        (412, {"If-Unmodified-Since": old}),
        (200, {"If-Match": etag, "If-Unmodified-Since": old}),
    ]:
        got, headed = (fetched(method, "whole", headers) for method in ("GET", "HEAD"))
        assert got == headed and got[0] == status, (status, headers, got, headed)
    for status, number in [(206, 1), (206, 2), (416, 3)]:
        got, headed = (
            fetched(method, "parts", {}, PartNumber=number) for method in ("GET", "HEAD")
        )
        assert got == headed and got[0] == status, (number, got, headed)
    two = s3.get_object_attributes(
        Bucket=BUCKET, Key="parts", ObjectAttributes=["ObjectParts"], MaxParts=1,
        PartNumberMarker=1,
    )["ObjectParts"]
    assert two["TotalPartsCount"] == 2 and not two["IsTruncated"], two


def other_user():
    step("another user")
    own = BUCKET + "-alt"
    alt.create_bucket(Bucket=own)
    alt.put_object(Bucket=own, Key="own", Body=b"own")
    theirs, upload = {"Bucket": BUCKET}, "0" * 32
    key = dict(theirs, Key="whole")
    part = dict(key, UploadId=upload, PartNumber=1)
    source = {"Bucket": BUCKET, "Key": "whole"}
    delete = {"Objects": [{"Key": "whole"}]}
    for operation, arguments in [
        ("head_bucket", theirs), ("delete_bucket", theirs), ("list_objects", theirs),
        ("list_objects_v2", theirs), ("list_object_versions", theirs),
        ("list_multipart_uploads", theirs), ("get_bucket_location", theirs),
        ("get_bucket_acl", theirs), ("get_bucket_versioning", theirs),
        ("get_bucket_policy", theirs), ("get_bucket_tagging", theirs),
        ("get_object", key), ("head_object", key), ("delete_object", key),
        ("get_object_attributes", dict(key, ObjectAttributes=["ETag"])),
        ("get_object_acl", key), ("get_object_tagging", key),
        ("get_object", dict(theirs, Key="absent")), ("delete_object", dict(theirs, Key="absent")),
        ("put_object", dict(key, Body=b"x")), ("delete_objects", dict(theirs, Delete=delete)),
        ("copy_object", dict(Bucket=own, Key="stolen", CopySource=source)),
        ("copy_object", dict(key, CopySource={"Bucket": own, "Key": "own"})),
        ("create_multipart_upload", key), ("upload_part", dict(part, Body=b"x")),
        ("upload_part_copy", dict(part, CopySource={"Bucket": own, "Key": "own"})),
        ("list_parts", dict(key, UploadId=upload)),
        ("abort_multipart_upload", dict(key, UploadId=upload)),
        (
            "complete_multipart_upload",
            dict(
                key, UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]},
            ),
        ),
    ]:
        try:
            getattr(alt, operation)(**arguments)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert status == 403, (operation, arguments, error)
        else:
            raise AssertionError(f"another user may {operation} {arguments}")
    names = [bucket["Name"] for bucket in alt.list_buckets()["Buckets"]]
    assert names == [own], names
    body = s3.get_object(Bucket=BUCKET, Key="whole")["Body"].read()
    assert body == b"hello world"


def main():
    print(f"boto3 {boto3.__version__}")
    s3.create_bucket(Bucket=BUCKET)
    odd_keys()
    lists()
    reads()
    other_user()


if __name__ == "__main__":
    sys.exit(main())
