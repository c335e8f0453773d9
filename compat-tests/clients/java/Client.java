import java.io.ByteArrayInputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import software.amazon.awssdk.core.ResponseInputStream;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.*;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/**
 * The AWS SDK for Java, version 2.
 *
 * <p>Environment: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, BUCKET.
 */
public final class Client {
    private static final int MIB = 1 << 20;
    private static final String BUCKET = System.getenv("BUCKET");
    private static final URI ENDPOINT = URI.create(System.getenv("S3_ENDPOINT"));
    private static final byte[] BIG = new byte[12 * MIB + 3];
    private static final S3Client S3 = S3Client.builder()
            .endpointOverride(ENDPOINT)
            .forcePathStyle(true)
            .httpClientBuilder(UrlConnectionHttpClient.builder())
            .build();

    public static void main(String[] arguments) throws Exception {
        new Random(6).nextBytes(BIG);
        objects();
        conditions();
        checksums();
        multipart();
        presigned();
        listsAndDeletes();
    }

    private static void step(String name) {
        System.out.println("step: " + name);
    }

    private static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void refused(int status, Runnable call) {
        try {
            call.run();
        } catch (S3Exception error) {
            check(error.statusCode() == status, "expected " + status + ", got " + error);
            return;
        }
        throw new AssertionError("should have been refused with " + status);
    }

    private static PutObjectRequest.Builder put(String key) {
        return PutObjectRequest.builder().bucket(BUCKET).key(key);
    }

    private static byte[] get(String key) {
        return S3.getObjectAsBytes(r -> r.bucket(BUCKET).key(key)).asByteArray();
    }

    private static String text(String key) {
        return new String(get(key), StandardCharsets.UTF_8);
    }

    private static void objects() throws Exception {
        step("objects");
        S3.createBucket(r -> r.bucket(BUCKET));
        S3.headBucket(r -> r.bucket(BUCKET));
        check(S3.listBuckets().buckets().stream().anyMatch(b -> b.name().equals(BUCKET)), "list");
        // This SDK decodes the ETag of a put as hexadecimal MD5.
        PutObjectResponse made = S3.putObject(
                put("dir/hello.txt").metadata(Map.of("colour", "blue")).build(),
                RequestBody.fromString("hello sixfold"));
        check(made.eTag().length() == 34, made.eTag());
        check(text("dir/hello.txt").equals("hello sixfold"), "other bytes");
        HeadObjectResponse head = S3.headObject(r -> r.bucket(BUCKET).key("dir/hello.txt"));
        check(head.metadata().equals(Map.of("colour", "blue")), head);
        check(head.contentEncoding() == null, head);
        String odd = "grüße/日本 + &.txt";
        S3.putObject(put(odd).build(), RequestBody.fromBytes(BIG));
        check(Arrays.equals(get(odd), BIG), "other bytes");
        S3.putObject(put("streamed").build(),
                RequestBody.fromInputStream(new ByteArrayInputStream(BIG, 0, MIB), MIB));
        check(get("streamed").length == MIB, "other length");
        try (ResponseInputStream<GetObjectResponse> part = S3.getObject(
                r -> r.bucket(BUCKET).key("dir/hello.txt").range("bytes=6-8"))) {
            check(new String(part.readAllBytes()).equals("six"), "other range");
        }
        refused(404, () -> get("none"));
    }

    private static void conditions() {
        step("conditions");
        PutObjectRequest once = put("once").ifNoneMatch("*").build();
        String etag = S3.putObject(once, RequestBody.fromString("1")).eTag();
        refused(412, () -> S3.putObject(once, RequestBody.fromString("1")));
        S3.putObject(put("once").ifMatch(etag).build(), RequestBody.fromString("2"));
        refused(412, () -> S3.putObject(put("once").ifMatch(etag).build(),
                RequestBody.fromString("3")));
        check(text("once").equals("2"), "other bytes");
    }

    private static void checksums() {
        step("checksums");
        for (ChecksumAlgorithm algorithm : List.of(ChecksumAlgorithm.CRC32, ChecksumAlgorithm.SHA1,
                ChecksumAlgorithm.SHA256)) {
            S3.putObject(put("sum").checksumAlgorithm(algorithm).build(),
                    RequestBody.fromBytes(Arrays.copyOf(BIG, 70_000)));
            GetObjectResponse got = S3.getObjectAsBytes(r -> r.bucket(BUCKET).key("sum")
                    .checksumMode(ChecksumMode.ENABLED)).response();
            boolean has = got.checksumCRC32() != null || got.checksumSHA1() != null
                    || got.checksumSHA256() != null;
            check(has && got.contentLength() == 70_000, got);
        }
        refused(400, () -> S3.putObject(put("wrong").checksumCRC32("AAAAAA==").build(),
                RequestBody.fromString("x")));
        refused(404, () -> get("wrong"));
    }

    private static void multipart() {
        step("multipart");
        String upload =
                S3.createMultipartUpload(r -> r.bucket(BUCKET).key("big")).uploadId();
        List<CompletedPart> parts = new ArrayList<>();
        for (int at = 0, number = 1; at < BIG.length; at += 5 * MIB, number++) {
            byte[] part = Arrays.copyOfRange(BIG, at, Math.min(at + 5 * MIB, BIG.length));
            int partNumber = number;
            String etag = S3.uploadPart(
                    r -> r.bucket(BUCKET).key("big").uploadId(upload).partNumber(partNumber),
                    RequestBody.fromBytes(part)).eTag();
            parts.add(CompletedPart.builder().partNumber(number).eTag(etag).build());
        }
        check(S3.listParts(r -> r.bucket(BUCKET).key("big").uploadId(upload)).parts().size() == 3,
                "parts");
        S3.completeMultipartUpload(r -> r.bucket(BUCKET).key("big").uploadId(upload)
                .multipartUpload(m -> m.parts(parts)));
        check(Arrays.equals(get("big"), BIG), "other bytes");
        GetObjectAttributesResponse attributes = S3.getObjectAttributes(r -> r.bucket(BUCKET)
                .key("big").objectAttributes(ObjectAttributes.E_TAG, ObjectAttributes.OBJECT_PARTS));
        check(attributes.objectParts().totalPartsCount() == 3, attributes);
    }

    private static void presigned() throws Exception {
        step("presigned links");
        try (S3Presigner presigner = S3Presigner.builder().endpointOverride(ENDPOINT)
                .serviceConfiguration(
                        S3Configuration.builder().pathStyleAccessEnabled(true).build())
                .build()) {
            URL upload = presigner.presignPutObject(r -> r
                    .signatureDuration(Duration.ofMinutes(1))
                    .putObjectRequest(put("by link").build())).url();
            HttpURLConnection connection = (HttpURLConnection) upload.openConnection();
            connection.setRequestMethod("PUT");
            connection.setDoOutput(true);
            connection.getOutputStream().write("by link".getBytes());
            check(connection.getResponseCode() == 200, connection.getResponseMessage());
            URL download = presigner.presignGetObject(r -> r
                    .signatureDuration(Duration.ofMinutes(1))
                    .getObjectRequest(g -> g.bucket(BUCKET).key("by link"))).url();
            check(new String(download.openStream().readAllBytes()).equals("by link"), "link");
        }
    }

    private static void listsAndDeletes() {
        step("lists and deletes");
        S3.copyObject(r -> r.sourceBucket(BUCKET).sourceKey("dir/hello.txt")
                .destinationBucket(BUCKET).destinationKey("copy"));
        check(text("copy").equals("hello sixfold"), "other bytes");
        List<String> keys = new ArrayList<>();
        S3.listObjectsV2Paginator(r -> r.bucket(BUCKET).maxKeys(3)).contents()
                .forEach(entry -> keys.add(entry.key()));
        check(keys.equals(List.of("big", "by link", "copy", "dir/hello.txt", "grüße/日本 + &.txt",
                "once", "streamed", "sum")), keys);
        List<ObjectIdentifier> gone = keys.stream()
                .map(key -> ObjectIdentifier.builder().key(key).build()).toList();
        DeleteObjectsResponse deleted =
                S3.deleteObjects(r -> r.bucket(BUCKET).delete(d -> d.objects(gone)));
        check(deleted.deleted().size() == keys.size() && deleted.errors().isEmpty(), deleted);
        S3.deleteBucket(r -> r.bucket(BUCKET));
    }
}
