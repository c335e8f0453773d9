"""The load of the soak: clients that know what must be there, whatever fails meanwhile.

Each lane has keys of its own and a model of them. An operation that fails after the SDK's retries
may have happened or not: its key is left alone from then on, and both outcomes are right at the end.

Environment: ENDPOINTS (separated by commas), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, SEED, LANES.
Standard input, a command a line: `stop` ends the load, `verify` reads everything and compares it,
`end` ends the program. The first two are answered by a line of JSON. Whatever is wrong is a line that begins with `violation:`.
"""

import collections
import hashlib
import json
import os
import random
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KIB, MIB = 1024, 1024 * 1024
SIZES = [0, 1, 1000, 20_000, 70_000, 300_000, MIB - 1, MIB, MIB + 1, 3_000_000, 5 * MIB]
WEIGHTS = [2, 2, 10, 10, 10, 6, 2, 2, 2, 3, 2]
KEYS_PER_LANE = 50
VERSIONS_PER_KEY = 4
PLAIN, VERSIONED = "soak-plain", "soak-versioned"
ABSENT = "absent"
# What a client's library raises when a request failed for good.
FAILURES = (BotoCoreError, ClientError)

seed = os.environ["SEED"]
lock = threading.Lock()
stopping = threading.Event()
violations = []
counts = collections.Counter()


def connect(endpoint):
    retries = {"mode": "legacy", "total_max_attempts": 10}
    config = Config(signature_version="s3v4", retries=retries, max_pool_connections=32,
                    connect_timeout=5, read_timeout=60)
    return boto3.client("s3", endpoint_url=endpoint, config=config)


clients = [connect(endpoint) for endpoint in os.environ["ENDPOINTS"].split(",")]


def violation(text):
    with lock:
        violations.append(text)
        print("violation:", text, flush=True)


def note_retries(answer):
    retried = answer.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    with lock:
        counts["operations"] += 1
        counts["retried"] += 1 if retried else 0
    return answer


def note_failure(what, error):
    with lock:
        counts["operations"] += 1
        counts["failed"] += 1
        print(f"failed: {time.time():.1f} {what}: {error}"[:300], flush=True)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def is_missing(error):
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in (
        "NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed")


def fetch(client, **where):
    """What a GET gives, or None when there is nothing. A body that is cut is asked for again: the
    SDK does not do that by itself."""
    for attempt in range(6):
        try:
            return note_retries(client.get_object(**where))["Body"].read()
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        except BotoCoreError:
            if attempt == 5:
                raise
            counts["cut"] += 1
            time.sleep(0.5 * 2**attempt)


def read(client, **where):
    data = fetch(client, **where)
    return ABSENT if data is None else digest(data)


class Lane:
    """One client at a time; nobody else touches its keys."""

    def __init__(self, number):
        self.number = number
        self.random = random.Random(f"{seed}-{number}")
        self.made = 0
        self.bodies = 0
        # Key to digest, and to its acknowledged versions: (version id, digest or ABSENT), oldest first.
        self.plain, self.versioned = {}, {}
        # Keys of which only a set of outcomes is known, and what must be gone for good.
        self.unsure, self.deleted, self.gone_versions = {}, set(), []

    def client(self):
        return self.random.choice(clients)

    def data(self):
        self.bodies += 1
        size = self.random.choices(SIZES, WEIGHTS)[0]
        return random.Random(f"{seed}-{self.number}-{self.bodies}").randbytes(size)

    def new_key(self):
        self.made += 1
        return f"lane{self.number}/{self.made:06}"

    def any_key(self, keys):
        keys = sorted(keys)
        return self.random.choice(keys) if keys else None

    def run(self, keeps_versions):
        steps = [
            (self.put, 30), (self.get, 30), (self.get_range, 12), (self.delete, 10),
            (self.multipart, 4), (self.abort, 1), (self.copy, 6), (self.list, 4), (self.head, 4),
        ]
        if keeps_versions:
            steps += [
                (self.put_version, 14), (self.get_version, 10), (self.delete_version, 8),
                (self.mark_deleted, 3),
            ]
        names, weights = zip(*steps)
        while not stopping.is_set():
            step = self.random.choices(names, weights)[0]
            try:
                step()
            except FAILURES as error:
                note_failure(step.__name__, error)
            except Exception as error:
                violation(f"{step.__name__}: {error!r}")

    def change(self, key, digest_after, call):
        """A write of one key of the plain bucket; answers whether it was acknowledged."""
        before = self.plain.get(key, ABSENT)
        self.deleted.discard(key)
        try:
            answer = note_retries(call())
        except FAILURES:
            self.unsure[key] = {before, digest_after}
            self.plain.pop(key, None)
            raise
        if digest_after == ABSENT:
            self.plain.pop(key, None)
            self.deleted.add(key)
        else:
            self.plain[key] = digest_after
        return answer

    def fresh_or_known(self):
        is_full = len(self.plain) >= KEYS_PER_LANE
        known = self.any_key(self.plain)
        return known if known and (is_full or self.random.random() < 0.4) else self.new_key()

    def put(self):
        key, data, client = self.fresh_or_known(), self.data(), self.client()
        self.change(key, digest(data), lambda: client.put_object(Bucket=PLAIN, Key=key, Body=data))

    def compare(self, what, found, expected):
        if found != expected:
            violation(f"{what}: {found} instead of {expected}")

    def get(self):
        if key := self.any_key(self.plain):
            self.compare(key, read(self.client(), Bucket=PLAIN, Key=key), self.plain[key])

    def head(self):
        if not (key := self.any_key(self.plain)):
            return
        try:
            note_retries(self.client().head_object(Bucket=PLAIN, Key=key))
        except ClientError as error:
            if is_missing(error):
                violation(f"{key} is gone, a HEAD says")
            raise

    def get_range(self):
        """A range is compared with the same bytes of the whole."""
        if not (key := self.any_key(self.plain)):
            return
        whole = fetch(self.client(), Bucket=PLAIN, Key=key)
        self.compare(key, ABSENT if whole is None else digest(whole), self.plain[key])
        if not whole:
            return
        first = self.random.randrange(len(whole))
        last = self.random.randrange(first, len(whole))
        asked = f"bytes={first}-{last}"
        part = read(self.client(), Bucket=PLAIN, Key=key, Range=asked)
        self.compare(f"{key} {asked}", part, digest(whole[first:last + 1]))

    def delete(self):
        if key := self.any_key(self.plain):
            client = self.client()
            self.change(key, ABSENT, lambda: client.delete_object(Bucket=PLAIN, Key=key))

    def copy(self):
        if source := self.any_key(self.plain):
            key, client = self.new_key(), self.client()
            if len(self.plain) >= KEYS_PER_LANE:
                key = self.any_key(self.plain)
            if key == source:
                return
            self.change(key, self.plain[source], lambda: client.copy_object(
                Bucket=PLAIN, Key=key, CopySource={"Bucket": PLAIN, "Key": source}))

    def send_parts(self, client, key):
        """An upload with its parts; answers its id, the list for its completion, and the bytes."""
        upload = note_retries(client.create_multipart_upload(Bucket=PLAIN, Key=key))["UploadId"]
        parts, whole = [], b""
        for number in (1, 2):
            size = 5 * MIB if number == 1 else self.random.randrange(1, 2 * MIB)
            self.bodies += 1
            data = random.Random(f"{seed}-{self.number}-{self.bodies}").randbytes(size)
            part = note_retries(client.upload_part(
                Bucket=PLAIN, Key=key, UploadId=upload, PartNumber=number, Body=data))
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
            whole += data
        return upload, parts, whole

    def multipart(self):
        key, client = self.fresh_or_known(), self.client()
        upload, parts, whole = self.send_parts(client, key)
        self.change(key, digest(whole), lambda: client.complete_multipart_upload(
            Bucket=PLAIN, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}))

    def abort(self):
        key, client = self.new_key(), self.client()
        self.deleted.add(key)
        upload, _, _ = self.send_parts(client, key)
        try:
            note_retries(client.abort_multipart_upload(Bucket=PLAIN, Key=key, UploadId=upload))
        except ClientError as error:
            # A second try, and the answer to the first was lost.
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise

    def listed(self, client):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=PLAIN, Prefix=f"lane{self.number}/", PaginationConfig={"PageSize": 40})
        return {entry["Key"] for page in pages for entry in note_retries(page).get("Contents", [])}

    def list(self):
        self.check_list(self.listed(self.client()))

    def check_list(self, listed):
        if lost := set(self.plain) - listed:
            violation(f"not listed: {sorted(lost)}")
        if strange := listed - set(self.plain) - set(self.unsure):
            violation(f"listed and not there: {sorted(strange)}")

    # The versioned bucket: only what was acknowledged is known, and all of it must stay.

    def put_version(self):
        key, data, client = f"lane{self.number}/v{self.random.randrange(15)}", self.data(), self.client()
        answer = note_retries(client.put_object(Bucket=VERSIONED, Key=key, Body=data))
        self.versioned.setdefault(key, []).append((answer["VersionId"], digest(data)))
        if len(self.versioned[key]) > VERSIONS_PER_KEY:
            self.remove_version(key, 0)

    def mark_deleted(self):
        if key := self.any_key(self.versioned):
            answer = note_retries(self.client().delete_object(Bucket=VERSIONED, Key=key))
            self.versioned[key].append((answer["VersionId"], ABSENT))

    def get_version(self):
        if not (key := self.any_key(key for key, versions in self.versioned.items() if versions)):
            return
        version, expected = self.random.choice(self.versioned[key])
        found = read(self.client(), Bucket=VERSIONED, Key=key, VersionId=version)
        self.compare(f"{key} version {version}", found, expected)

    def delete_version(self):
        if key := self.any_key(key for key, versions in self.versioned.items() if versions):
            self.remove_version(key, self.random.randrange(len(self.versioned[key])))

    def remove_version(self, key, index):
        version, _ = self.versioned[key].pop(index)
        note_retries(self.client().delete_object(Bucket=VERSIONED, Key=key, VersionId=version))
        self.gone_versions.append((key, version))

    def verify(self):
        for client in clients:
            self.check_list(self.listed(client))
        for key, expected in self.plain.items():
            self.compare(key, read(self.client(), Bucket=PLAIN, Key=key), expected)
        for key, expected in self.unsure.items():
            found = read(self.client(), Bucket=PLAIN, Key=key)
            if found not in expected:
                violation(f"{key}: {found} is none of {sorted(expected)}")
        # The list has shown that none is there; some are asked for by name as well.
        for key in sorted(self.deleted)[-300:]:
            self.compare(f"{key}, deleted", read(self.client(), Bucket=PLAIN, Key=key), ABSENT)
        for key, versions in self.versioned.items():
            for version, expected in versions:
                found = read(self.client(), Bucket=VERSIONED, Key=key, VersionId=version)
                self.compare(f"{key} version {version}", found, expected)
        for key, version in self.gone_versions[-300:]:
            found = read(self.client(), Bucket=VERSIONED, Key=key, VersionId=version)
            self.compare(f"{key} version {version}, deleted", found, ABSENT)


def verify_lane(lane):
    try:
        lane.verify()
    except FAILURES as error:
        violation(f"lane {lane.number} can't be verified: {error}")


def together(lanes, work):
    threads = [threading.Thread(target=work, args=[lane], daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    return threads


def enable_versions():
    try:
        clients[0].put_bucket_versioning(
            Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
        return True
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotImplemented":
            raise
        print("skipped: a versioned bucket: this server can't make one", flush=True)
        return False


def main():
    for bucket in (PLAIN, VERSIONED):
        clients[0].create_bucket(Bucket=bucket)
    keeps_versions = enable_versions()
    lanes = [Lane(number) for number in range(int(os.environ.get("LANES", "5")))]
    running = together(lanes, lambda lane: lane.run(keeps_versions))
    print(json.dumps({"ready": len(lanes)}), flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            stopping.set()
            for thread in running:
                thread.join()
            print(json.dumps({"stopped": dict(counts)}), flush=True)
        elif line.strip() == "verify":
            for thread in together(lanes, verify_lane):
                thread.join()
            total = {
                "objects": sum(len(lane.plain) for lane in lanes),
                "unsure": sum(len(lane.unsure) for lane in lanes),
                "deleted": sum(len(lane.deleted) for lane in lanes),
                "versions": sum(map(len, (v for lane in lanes for v in lane.versioned.values()))),
                "violations": len(violations),
            }
            print(json.dumps({"verified": total}), flush=True)
        elif line.strip() == "end":
            return


main()
