"""Stores and reads over HTTPS in path style and in virtual-host style; prints a link of each."""
import socket
import sys

import boto3
from botocore.config import Config

resolve = socket.getaddrinfo


def loopback(host, *rest, **named):
    """What a line in /etc/hosts would do: not every resolver knows names below localhost."""
    is_below = isinstance(host, str) and host.endswith(".localhost")
    return resolve("127.0.0.1" if is_below else host, *rest, **named)


socket.getaddrinfo = loopback

for style in ("path", "virtual"):
    config = Config(s3={"addressing_style": style}, signature_version="s3v4")
    client = boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1", config=config)
    bucket = f"{style}-style"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a folder/key", Body=b"over TLS")
    assert client.get_object(Bucket=bucket, Key="a folder/key")["Body"].read() == b"over TLS"
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["a folder/key"], keys
    params = {"Bucket": bucket, "Key": "a folder/key"}
    link = client.generate_presigned_url("get_object", Params=params, ExpiresIn=600)
    host = link.split("/")[2]
    assert host.startswith(f"{bucket}.") == (style == "virtual"), host
    print(link)
