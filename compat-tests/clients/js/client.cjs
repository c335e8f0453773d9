// The AWS SDK for JavaScript, version 3.
//
// Environment: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, BUCKET; NODE_PATH names
// the folder of the installed packages.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { Readable } = require('node:stream');
const s3 = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');

const MIB = 1024 * 1024;
const Bucket = process.env.BUCKET;
const big = crypto.randomBytes(12 * MIB + 7);
const client = new s3.S3Client({ endpoint: process.env.S3_ENDPOINT, forcePathStyle: true });

const step = (name) => console.log('step:', name);
const bytes = async (output) => Buffer.from(await output.Body.transformToByteArray());
const get = async (Key, more = {}) =>
  bytes(await client.send(new s3.GetObjectCommand({ Bucket, Key, ...more })));
const put = (Key, Body, more = {}) =>
  client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }));

async function refused(status, command) {
  await assert.rejects(client.send(command), (error) => {
    assert.equal(error.$metadata.httpStatusCode, status, String(error));
    return true;
  });
}

async function objects() {
  step('objects');
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await client.send(new s3.HeadBucketCommand({ Bucket }));
  const { Buckets } = await client.send(new s3.ListBucketsCommand({}));
  assert(Buckets.some((bucket) => bucket.Name === Bucket));
  const made = await put('dir/hello.txt', 'hello sixfold', { Metadata: { colour: 'blue' } });
  assert.equal(made.ETag, `"${crypto.createHash('md5').update('hello sixfold').digest('hex')}"`);
  const got = await client.send(new s3.GetObjectCommand({ Bucket, Key: 'dir/hello.txt' }));
  assert.equal(got.ContentEncoding, undefined);
  assert.deepEqual(got.Metadata, { colour: 'blue' });
  assert.equal(String(await bytes(got)), 'hello sixfold');
  await put('grüße/日本 + &.txt', big);
  assert(big.equals(await get('grüße/日本 + &.txt')));
  assert.equal(String(await get('dir/hello.txt', { Range: 'bytes=-7' })), 'sixfold');
  await put('streamed', Readable.from([big.subarray(0, MIB)]), { ContentLength: MIB });
  assert(big.subarray(0, MIB).equals(await get('streamed')));
  await refused(404, new s3.GetObjectCommand({ Bucket, Key: 'none' }));
}

async function conditions() {
  step('conditions');
  const once = { Bucket, Key: 'once', Body: '1', IfNoneMatch: '*' };
  const { ETag } = await client.send(new s3.PutObjectCommand(once));
  await refused(412, new s3.PutObjectCommand(once));
  await refused(412, new s3.PutObjectCommand({ Bucket, Key: 'once', Body: '2', IfMatch: '"no"' }));
  await put('once', '2', { IfMatch: ETag });
  await refused(304, new s3.GetObjectCommand({
    Bucket, Key: 'dir/hello.txt', IfNoneMatch: (await head('dir/hello.txt')).ETag,
  }));
}

const head = (Key, more = {}) => client.send(new s3.HeadObjectCommand({ Bucket, Key, ...more }));

async function checksums() {
  step('checksums');
  for (const name of ['CRC32', 'CRC32C', 'SHA1', 'SHA256']) {
    const made = await put('sum', big.subarray(0, 70000), { ChecksumAlgorithm: name });
    const sum = (await head('sum', { ChecksumMode: 'ENABLED' }))[`Checksum${name}`];
    assert(sum && sum === made[`Checksum${name}`], `${name}: ${sum}`);
    assert.equal((await get('sum', { ChecksumMode: 'ENABLED' })).length, 70000);
  }
  await refused(400, new s3.PutObjectCommand({
    Bucket, Key: 'wrong', Body: 'x', ChecksumSHA256: crypto.createHash('sha256').digest('base64'),
  }));
  await refused(404, new s3.HeadObjectCommand({ Bucket, Key: 'wrong' }));
}

async function multipart() {
  step('multipart');
  const params = { Bucket, Key: 'big', Body: Readable.from(pieces(big)) };
  await new Upload({ client, params, partSize: 5 * MIB, queueSize: 3 }).done();
  assert(big.equals(await get('big')));
  assert((await head('big')).ETag.endsWith('-3"'));
  const { ObjectParts } = await client.send(new s3.GetObjectAttributesCommand({
    Bucket, Key: 'big', ObjectAttributes: ['ObjectParts', 'ETag', 'Checksum'],
  }));
  assert.equal(ObjectParts.TotalPartsCount, 3);
  const { UploadId } =
    await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'aborted' }));
  await client.send(new s3.AbortMultipartUploadCommand({ Bucket, Key: 'aborted', UploadId }));
  await refused(404, new s3.ListPartsCommand({ Bucket, Key: 'aborted', UploadId }));
}

function* pieces(buffer) {
  for (let at = 0; at < buffer.length; at += 100_000) yield buffer.subarray(at, at + 100_000);
}

async function presigned() {
  step('presigned links');
  const expiresIn = 60;
  // This SDK puts the checksum of an empty body into the link; the upload must work all the same.
  const upload = await getSignedUrl(
    client, new s3.PutObjectCommand({ Bucket, Key: 'by link' }), { expiresIn });
  const answer = await fetch(upload, { method: 'PUT', body: 'by link' });
  assert.equal(answer.status, 200, await answer.text());
  const download = await getSignedUrl(
    client, new s3.GetObjectCommand({ Bucket, Key: 'by link' }), { expiresIn });
  assert.equal(await (await fetch(download)).text(), 'by link');
  assert.equal((await fetch(download.replace('by', 'to'))).status, 403);
}

async function listsAndDeletes() {
  step('lists and deletes');
  const copy = { Bucket, Key: 'copy', CopySource: `${Bucket}/dir/hello.txt` };
  await client.send(new s3.CopyObjectCommand(copy));
  assert.equal(String(await get('copy')), 'hello sixfold');
  const keys = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket })) {
    keys.push(...(page.Contents ?? []).map((entry) => entry.Key));
  }
  const expected =
    ['big', 'by link', 'copy', 'dir/hello.txt', 'grüße/日本 + &.txt', 'once', 'streamed', 'sum'];
  assert.deepEqual(keys, expected);
  const Delete = { Objects: keys.map((Key) => ({ Key })) };
  const { Deleted, Errors } = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete }));
  assert.equal(Deleted.length, keys.length);
  assert.equal(Errors, undefined);
  await client.send(new s3.DeleteBucketCommand({ Bucket }));
}

(async () => {
  for (const part of [objects, conditions, checksums, multipart, presigned, listsAndDeletes]) {
    await part();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
