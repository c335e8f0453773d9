"""boto3, whichever version and transport the interpreter's environment holds.

Environment: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, BUCKET.
"""

import base64
import hashlib
import io
import os
import sys
import time
import urllib.error
import urllib.request
import zlib

import boto3
import botocore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

try:
    import awscrt
    import awscrt.checksums
except ImportError:
    awscrt = None

MIB = 1024 * 1024
BUCKET = os.environ["BUCKET"]
BIG = os.urandom(MIB) * 21 + b"the end"


def client(**config):
    return boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], config=Config(**config))


# Without retries: every answer must be right the first time.
s3 = client(retries={"total_max_attempts": 1})
NEW_CHECKSUMS = tuple(int(part) for part in botocore.__version__.split(".")[:2]) >= (1, 36)


def step(name):
    print("step:", name, flush=True)


def refused(code, call, **arguments):
    """The call fails with one of the codes (`A|B`)."""
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got in code.split("|"), f"expected {code}, got {error}"
        request_id = error.response["ResponseMetadata"].get("RequestId")
        assert request_id, "an error without a request id"
        return error.response
    raise AssertionError(f"should have been refused with {code}")


def read(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


def buckets():
    step("buckets")
    s3.create_bucket(Bucket=BUCKET)
    assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=BUCKET)
    s3.get_bucket_location(Bucket=BUCKET)
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)
    refused("404", s3.head_bucket, Bucket=BUCKET + "-none")
    refused("NoSuchBucket", s3.list_objects_v2, Bucket=BUCKET + "-none")


def objects():
    step("objects")
    put = s3.put_object(
        Bucket=BUCKET,
        Key="dir/hello.txt",
        Body=b"hello sixfold",
        ContentType="text/x-sixfold",
        CacheControl="max-age=60",
        Metadata={"colour": "blue"},
    )
    assert put["ETag"] == '"%s"' % hashlib.md5(b"hello sixfold").hexdigest()
    got = s3.get_object(Bucket=BUCKET, Key="dir/hello.txt")
    assert got["Body"].read() == b"hello sixfold"
    assert got["ContentType"] == "text/x-sixfold" and got["CacheControl"] == "max-age=60"
    assert got["Metadata"] == {"colour": "blue"}
    assert "ContentEncoding" not in got, "aws-chunked must never be stored"
    head = s3.head_object(Bucket=BUCKET, Key="dir/hello.txt")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="dir/")["Contents"][0]
    assert head["LastModified"] == got["LastModified"]
    assert listed["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert listed["ETag"] == head["ETag"] and listed["Size"] == 13
    for key in ["", "grüße/日本", "a+b & c=d%20", "a//b", "quote'\"<&>"]:
        body = key.encode()
        s3.put_object(Bucket=BUCKET, Key="names/" + key, Body=body)
        assert read("names/" + key) == body
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="names/")["Contents"]
    keys = [entry["Key"] for entry in listed]
    assert keys == sorted(keys, key=str.encode) and "names/grüße/日本" in keys, keys
    stream = io.BytesIO(BIG[: 6 * MIB])
    s3.put_object(Bucket=BUCKET, Key="six", Body=stream)
    assert read("six") == BIG[: 6 * MIB]


def ranges_and_conditions():
    step("ranges and conditions")
    assert read("dir/hello.txt", Range="bytes=6-8") == b"six"
    assert read("dir/hello.txt", Range="bytes=-4") == b"fold"
    assert read("six", Range="bytes=1048570-1048590") == BIG[1048570:1048591]
    refused("InvalidRange", s3.get_object, Bucket=BUCKET, Key="dir/hello.txt", Range="bytes=13-")
    etag = s3.head_object(Bucket=BUCKET, Key="dir/hello.txt")["ETag"]
    assert read("dir/hello.txt", IfMatch=etag) == b"hello sixfold"
    refused("304", s3.get_object, Bucket=BUCKET, Key="dir/hello.txt", IfNoneMatch=etag)
    refused("PreconditionFailed", s3.get_object, Bucket=BUCKET, Key="six", IfMatch=etag)
    once = dict(Bucket=BUCKET, Key="once", Body=b"1", IfNoneMatch="*")
    s3.put_object(**once)
    refused("PreconditionFailed", s3.put_object, **once)
    if NEW_CHECKSUMS:
        etag = s3.head_object(Bucket=BUCKET, Key="once")["ETag"]
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"2", IfMatch=etag)
        stale = dict(Bucket=BUCKET, Key="once", Body=b"3", IfMatch=etag)
        refused("PreconditionFailed", s3.put_object, **stale)
        assert read("once") == b"2"
        missing = dict(Bucket=BUCKET, Key="never", Body=b"3", IfMatch=etag)
        refused("NoSuchKey", s3.put_object, **missing)
        conditional_deletes()
    refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key="never")
    refused("404", s3.head_object, Bucket=BUCKET, Key="never")


def conditional_deletes():
    key = dict(Bucket=BUCKET, Key="matched")
    etag = s3.put_object(**key, Body=b"1234")["ETag"]
    modified = s3.head_object(**key)["LastModified"]
    copy = dict(key, CopySource={"Bucket": BUCKET, "Key": "once"})
    if "IfNoneMatch" in s3.meta.service_model.operation_model("CopyObject").input_shape.members:
        refused("PreconditionFailed", s3.copy_object, **copy, IfNoneMatch="*")
        refused("PreconditionFailed", s3.copy_object, **copy, IfMatch='"stale"')
    for wrong in [{"IfMatch": '"stale"'}, {"IfMatchSize": 5}, {"IfMatch": etag, "IfMatchSize": 5}]:
        refused("PreconditionFailed", s3.delete_object, **key, **wrong)
    for wrong in [{"ETag": '"stale"'}, {"Size": 5}]:
        listed = {"Objects": [{"Key": "matched", **wrong}]}
        answer = s3.delete_objects(Bucket=BUCKET, Delete=listed)
        assert answer["Errors"][0]["Code"] == "PreconditionFailed", answer
    s3.delete_object(**key, IfMatch=etag, IfMatchSize=4, IfMatchLastModifiedTime=modified)
    refused("NoSuchKey", s3.delete_object, **key, IfMatch=etag)


def checksums():
    step("checksums")
    body = BIG[:100_000]
    sums = {
        "CRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
        "SHA1": base64.b64encode(hashlib.sha1(body).digest()).decode(),
        "SHA256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    if awscrt:
        crc32c = awscrt.checksums.crc32c(body).to_bytes(4, "big")
        crc64 = awscrt.checksums.crc64nvme(body).to_bytes(8, "big")
        sums["CRC32C"] = base64.b64encode(crc32c).decode()
        sums["CRC64NVME"] = base64.b64encode(crc64).decode()
    for name, value in sums.items():
        put = s3.put_object(Bucket=BUCKET, Key="sum", Body=body, ChecksumAlgorithm=name)
        assert put["Checksum" + name] == value, (name, put)
        got = s3.get_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
        assert got["Body"].read() == body and got["Checksum" + name] == value, (name, got)
        head = s3.head_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
        assert head["Checksum" + name] == value
        attributes = s3.get_object_attributes(
            Bucket=BUCKET, Key="sum", ObjectAttributes=["Checksum", "ObjectSize", "ETag"]
        )
        assert attributes["Checksum"]["Checksum" + name] == value, attributes
        wrong = dict(Bucket=BUCKET, Key="wrong", Body=body + b"!")
        refused("BadDigest|InvalidRequest", s3.put_object, **wrong, **{"Checksum" + name: value})
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    s3.put_object(Bucket=BUCKET, Key="sum", Body=body, ContentMD5=md5)
    refused("BadDigest", s3.put_object, Bucket=BUCKET, Key="wrong", Body=b"!", ContentMD5=md5)
    refused("404", s3.head_object, Bucket=BUCKET, Key="wrong")
    if awscrt:
        crt_transfers()


def crt_transfers():
    """Parts with CRC64NVME, which only the CRT can compute.

    The CRT's own transfer manager takes neither an endpoint nor plain HTTP from boto3.
    """
    config = TransferConfig(preferred_transfer_client="classic")
    s3.upload_fileobj(
        io.BytesIO(BIG), BUCKET, "crt", Config=config, ExtraArgs={"ChecksumAlgorithm": "CRC64NVME"}
    )
    head = s3.head_object(Bucket=BUCKET, Key="crt", ChecksumMode="ENABLED")
    expected = awscrt.checksums.crc64nvme(BIG).to_bytes(8, "big")
    assert head["ChecksumCRC64NVME"] == base64.b64encode(expected).decode(), head
    assert head["ChecksumType"] == "FULL_OBJECT"
    back = io.BytesIO()
    s3.download_fileobj(BUCKET, "crt", back, Config=config)
    assert back.getvalue() == BIG


def multipart():
    step("multipart")
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.upload_fileobj(io.BytesIO(BIG), BUCKET, "big", Config=config)
    back = io.BytesIO()
    s3.download_fileobj(BUCKET, "big", back, Config=config)
    assert back.getvalue() == BIG
    parts = [BIG[at : at + 8 * MIB] for at in range(0, len(BIG), 8 * MIB)]
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    etag = '"%s-%d"' % (hashlib.md5(joined).hexdigest(), len(parts))
    assert s3.head_object(Bucket=BUCKET, Key="big")["ETag"] == etag
    assert read("big", PartNumber=2) == parts[1]

    key = dict(Bucket=BUCKET, Key="by/hand")
    upload = s3.create_multipart_upload(**key, Metadata={"by": "hand"})["UploadId"]
    assert upload in [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]]
    done = []
    for number, part in [(1, parts[0]), (3, parts[2]), (7, b"last")]:
        put = s3.upload_part(**key, UploadId=upload, PartNumber=number, Body=part)
        done.append({"PartNumber": number, "ETag": put["ETag"]})
    listed = s3.list_parts(**key, UploadId=upload, MaxParts=2)
    assert [part["PartNumber"] for part in listed["Parts"]] == [1, 3] and listed["IsTruncated"]
    refused("404", s3.head_object, **key)
    wrong = [dict(done[0], ETag='"%032x"' % 0), done[1]]
    complete = dict(key, UploadId=upload)
    call = s3.complete_multipart_upload
    refused("InvalidPart", call, **complete, MultipartUpload={"Parts": wrong})
    refused("InvalidPartOrder", call, **complete, MultipartUpload={"Parts": done[1::-1]})
    first = call(**complete, MultipartUpload={"Parts": done})
    again = call(**complete, MultipartUpload={"Parts": done})
    assert first["ETag"] == again["ETag"], "the same list gets the same answer"
    body = read("by/hand")
    assert body[: 8 * MIB] == parts[0] and body.endswith(b"last")
    assert s3.head_object(**key)["Metadata"] == {"by": "hand"}

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="copied")["UploadId"]
    source = {"Bucket": BUCKET, "Key": "big"}
    copy = dict(Bucket=BUCKET, Key="copied", UploadId=upload, CopySource=source)
    one = s3.upload_part_copy(**copy, PartNumber=1, CopySourceRange="bytes=0-6291455")
    two = s3.upload_part_copy(**copy, PartNumber=2, CopySourceRange="bytes=6291456-8388607")
    done = [
        {"PartNumber": number + 1, "ETag": part["CopyPartResult"]["ETag"]}
        for number, part in enumerate([one, two])
    ]
    done = {"Parts": done}
    call(Bucket=BUCKET, Key="copied", UploadId=upload, MultipartUpload=done)
    assert read("copied") == BIG[: 8 * MIB]

    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="aborted")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="aborted", UploadId=upload)
    refused(
        "NoSuchUpload", s3.upload_part,
        Bucket=BUCKET, Key="aborted", UploadId=upload, PartNumber=1, Body=b"x",
    )


def copies():
    step("copies")
    source = {"Bucket": BUCKET, "Key": "dir/hello.txt"}
    kept = s3.copy_object(Bucket=BUCKET, Key="kept", CopySource=source)
    head = s3.head_object(Bucket=BUCKET, Key="kept")
    assert head["Metadata"] == {"colour": "blue"} and head["ContentType"] == "text/x-sixfold"
    assert kept["CopyObjectResult"]["ETag"] == head["ETag"]
    assert kept["CopyObjectResult"]["LastModified"].replace(microsecond=0) == head["LastModified"]
    s3.copy_object(
        Bucket=BUCKET, Key="replaced", CopySource=source,
        MetadataDirective="REPLACE", Metadata={"colour": "red"}, ContentType="text/plain",
    )
    head = s3.head_object(Bucket=BUCKET, Key="replaced")
    assert head["Metadata"] == {"colour": "red"} and head["ContentType"] == "text/plain"
    itself = dict(Bucket=BUCKET, Key="dir/hello.txt", CopySource=source)
    refused("InvalidRequest", s3.copy_object, **itself)
    stale = dict(Bucket=BUCKET, Key="no", CopySource=source, CopySourceIfMatch='"no"')
    refused("PreconditionFailed", s3.copy_object, **stale)
    s3.copy(CopySource={"Bucket": BUCKET, "Key": "big"}, Bucket=BUCKET, Key="managed")
    assert read("managed") == BIG


def lists():
    step("lists")
    names = [f"list/{number:03}" for number in range(57)] + ["list/sub/one", "list/sub/two"]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"")
    for operation in ["list_objects_v2", "list_objects"]:
        pages = s3.get_paginator(operation).paginate(
            Bucket=BUCKET, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": 10}
        )
        keys, prefixes = [], []
        for page in pages:
            keys += [entry["Key"] for entry in page.get("Contents", [])]
            prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        assert keys == names[:57] and prefixes == ["list/sub/"], (operation, keys, prefixes)
    after = s3.list_objects_v2(Bucket=BUCKET, Prefix="list/", StartAfter="list/055")
    assert [e["Key"] for e in after["Contents"]] == ["list/056", "list/sub/one", "list/sub/two"]
    assert after["KeyCount"] == 3
    owner = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=1, FetchOwner=True)["Contents"][0]["Owner"]
    assert owner["ID"]
    versions = s3.get_paginator("list_object_versions").paginate(
        Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 20}
    )
    versions = [version for page in versions for version in page["Versions"]]
    assert [version["Key"] for version in versions] == names
    assert all(version["VersionId"] == "null" and version["IsLatest"] for version in versions)


def versions():
    step("versions")
    bucket = dict(Bucket=BUCKET + "-versions")
    key = dict(bucket, Key="key")
    s3.create_bucket(**bucket)
    assert "VersionId" not in s3.put_object(**key, Body=b"before")
    mfa = {"Status": "Enabled", "MFADelete": "Enabled"}
    refused("NotImplemented", s3.put_bucket_versioning, **bucket, VersioningConfiguration=mfa)
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(**bucket, VersioningConfiguration=enabled)
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    one = s3.put_object(**key, Body=b"one")["VersionId"]
    upload = dict(key, UploadId=s3.create_multipart_upload(**key)["UploadId"])
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"two")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    two = s3.complete_multipart_upload(**upload, MultipartUpload=parts)["VersionId"]
    source = dict(key, VersionId=one)
    copied = s3.copy_object(**key, CopySource=source)
    three = copied["VersionId"]
    assert copied["CopySourceVersionId"] == one and len({one, two, three}) == 3
    gone = s3.delete_object(**key)
    marker = gone["VersionId"]
    assert gone["DeleteMarker"]
    s3.put_object(**bucket, Key="another", Body=b"")

    listed = s3.list_object_versions(**bucket, Prefix="key")
    assert [v["VersionId"] for v in listed["Versions"]] == [three, two, one, "null"]
    assert not any(version["IsLatest"] for version in listed["Versions"])
    assert [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [(marker, True)]
    paginator = s3.get_paginator("list_object_versions")
    pages = list(paginator.paginate(**bucket, PaginationConfig={"PageSize": 1}))
    entries = [e for p in pages for e in p.get("Versions", []) + p.get("DeleteMarkers", [])]
    assert [entry["Key"] for entry in entries] == ["another"] + ["key"] * 5
    assert [entry["VersionId"] for entry in entries[1:]] == [marker, three, two, one, "null"]

    for version, body in [(one, b"one"), (two, b"two"), (three, b"one"), ("null", b"before")]:
        got = s3.get_object(**key, VersionId=version)
        assert got["Body"].read() == body and got["VersionId"] == version
    latest = refused("NoSuchKey", s3.get_object, **key)["ResponseMetadata"]["HTTPHeaders"]
    assert latest["x-amz-delete-marker"] == "true" and latest["x-amz-version-id"] == marker
    named = refused("MethodNotAllowed", s3.get_object, **key, VersionId=marker)
    assert named["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    refused("NoSuchVersion", s3.get_object, **key, VersionId="0" * 32)
    refused("InvalidArgument", s3.get_object, **key, VersionId="garbage")
    s3.delete_object(**key, VersionId=marker)
    assert s3.head_object(**key)["VersionId"] == three

    s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(**key, Body=b"after")["VersionId"] == "null"
    assert s3.get_object(**key, VersionId="null")["Body"].read() == b"after"
    refused("BucketNotEmpty", s3.delete_bucket, **bucket)
    everything = [
        {"Key": entry["Key"], "VersionId": entry["VersionId"]}
        for page in paginator.paginate(**bucket)
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", [])
    ]
    gone = s3.delete_objects(**bucket, Delete={"Objects": everything})
    assert "Errors" not in gone and len(gone["Deleted"]) == len(everything) == 5, gone
    s3.delete_bucket(**bucket)


def tags():
    step("tags")
    key = dict(Bucket=BUCKET, Key="tagged")
    s3.put_object(**key, Body=b"1", Tagging="colour=blue&size=")
    pairs = lambda answer: {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
    assert pairs(s3.get_object_tagging(**key)) == {"colour": "blue", "size": ""}
    assert s3.get_object(**key)["TagCount"] == 2
    s3.put_object_tagging(**key, Tagging={"TagSet": [{"Key": "grün", "Value": "a b+c"}]})
    copied = dict(Bucket=BUCKET, Key="tagged-copy")
    s3.copy_object(**copied, CopySource=key)
    assert pairs(s3.get_object_tagging(**copied)) == {"grün": "a b+c"}
    s3.copy_object(**copied, CopySource=key, TaggingDirective="REPLACE", Tagging="a=b")
    assert pairs(s3.get_object_tagging(**copied)) == {"a": "b"}
    upload = dict(copied, UploadId=s3.create_multipart_upload(**copied, Tagging="c=d")["UploadId"])
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"two")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert pairs(s3.get_object_tagging(**copied)) == {"c": "d"}
    s3.delete_object_tagging(**key)
    assert s3.get_object_tagging(**key)["TagSet"] == []
    many = {"TagSet": [{"Key": str(number), "Value": "v"} for number in range(11)]}
    refused("BadRequest", s3.put_object_tagging, **key, Tagging=many)
    long = {"TagSet": [{"Key": "k" * 129, "Value": "v"}]}
    refused("InvalidTag", s3.put_object_tagging, **key, Tagging=long)
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=BUCKET)
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging=many)
    assert len(pairs(s3.get_bucket_tagging(Bucket=BUCKET))) == 11
    s3.delete_bucket_tagging(Bucket=BUCKET)
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=BUCKET)


def presigned():
    step("presigned links")
    signing = client(signature_version="s3v4")

    def link(operation, expires=60, **arguments):
        return signing.generate_presigned_url(operation, Params=arguments, ExpiresIn=expires)

    key = dict(Bucket=BUCKET, Key="signed/ü b")
    request = urllib.request.Request(link("put_object", **key), data=b"by link", method="PUT")
    urllib.request.urlopen(request).read()
    disposition = 'attachment; filename="save as.txt"'
    got = urllib.request.urlopen(
        link("get_object", **key, ResponseContentDisposition=disposition)
    )
    assert got.read() == b"by link" and got.headers["Content-Disposition"] == disposition
    head = urllib.request.Request(link("head_object", **key), method="HEAD")
    assert urllib.request.urlopen(head).headers["Content-Length"] == "7"
    short = link("get_object", expires=1, **key)
    time.sleep(2.5)
    for wrong in [short, link("get_object", **key).replace("signed", "dir")]:
        try:
            urllib.request.urlopen(wrong)
            raise AssertionError("an expired or changed link worked")
        except urllib.error.HTTPError as error:
            assert error.code == 403, error
    gone = urllib.request.Request(link("delete_object", **key), method="DELETE")
    assert urllib.request.urlopen(gone).status == 204
    refused("404", s3.head_object, **key)


def deletes():
    step("deletes")
    s3.delete_object(Bucket=BUCKET, Key="kept")
    s3.delete_object(Bucket=BUCKET, Key="kept")
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=BUCKET)
    while True:
        listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        if not listed:
            break
        keys = [{"Key": entry["Key"]} for entry in listed] + [{"Key": "never-there"}]
        gone = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys[:1000]})
        assert "Errors" not in gone and len(gone["Deleted"]) == len(keys[:1000]), gone
    s3.delete_bucket(Bucket=BUCKET)
    assert BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def main():
    crt = f", awscrt {awscrt.__version__}" if awscrt else ""
    print(f"boto3 {boto3.__version__}, botocore {botocore.__version__}{crt}")
    buckets()
    objects()
    ranges_and_conditions()
    checksums()
    multipart()
    copies()
    lists()
    versions()
    tags()
    presigned()
    deletes()


if __name__ == "__main__":
    sys.exit(main())
