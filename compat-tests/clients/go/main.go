// The AWS SDK for Go, version 2. Over TLS it sends every body as one aws-chunked frame.
//
// Environment: S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, BUCKET.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const mib = 1 << 20

var (
	ctx    = context.Background()
	bucket = aws.String(os.Getenv("BUCKET"))
	client *s3.Client
	big    = make([]byte, 33*mib+5)
)

func step(name string) { fmt.Println("step:", name) }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func assert(holds bool, what string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf(what, arguments...))
	}
}

// refused asserts that a call failed with that status.
func refused[T any](status int) func(T, error) {
	return func(_ T, err error) {
		var response *awshttp.ResponseError
		assert(errors.As(err, &response), "expected status %d, got %v", status, err)
		assert(response.HTTPStatusCode() == status, "expected status %d, got %v", status, err)
	}
}

func get(key string) []byte {
	output := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key}))
	defer output.Body.Close()
	return must(io.ReadAll(output.Body))
}

func put(key string, body io.Reader) *s3.PutObjectOutput {
	return must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: body}))
}

func objects() {
	step("objects")
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	must(client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}))
	sum := md5.Sum([]byte("hello sixfold"))
	made := put("dir/hello.txt", strings.NewReader("hello sixfold"))
	assert(*made.ETag == `"`+hex.EncodeToString(sum[:])+`"`, "ETag %s", *made.ETag)
	assert(string(get("dir/hello.txt")) == "hello sixfold", "other bytes")
	put("grüße/日本 + &.txt", bytes.NewReader(big))
	assert(bytes.Equal(get("grüße/日本 + &.txt"), big), "other bytes")
	put("empty", strings.NewReader(""))
	assert(len(get("empty")) == 0, "not empty")
	input := &s3.GetObjectInput{
		Bucket: bucket, Key: aws.String("dir/hello.txt"), Range: aws.String("bytes=6-8"),
	}
	part := must(client.GetObject(ctx, input))
	assert(string(must(io.ReadAll(part.Body))) == "six", "other range")
	none := &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")}
	refused[*s3.GetObjectOutput](404)(client.GetObject(ctx, none))
}

func conditions() {
	step("conditions")
	once := func(match, noneMatch *string) (*s3.PutObjectOutput, error) {
		return client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String("once"), Body: strings.NewReader("1"),
			IfMatch: match, IfNoneMatch: noneMatch,
		})
	}
	made := must(once(nil, aws.String("*")))
	refused[*s3.PutObjectOutput](412)(once(nil, aws.String("*")))
	refused[*s3.PutObjectOutput](412)(once(aws.String(`"no"`), nil))
	must(once(made.ETag, nil))
}

func checksums() {
	step("checksums")
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c,
		types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		must(client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String("sum"), Body: bytes.NewReader(big[:70000]),
			ChecksumAlgorithm: algorithm,
		}))
		got := must(client.GetObject(ctx, &s3.GetObjectInput{
			Bucket: bucket, Key: aws.String("sum"), ChecksumMode: types.ChecksumModeEnabled,
		}))
		assert(len(must(io.ReadAll(got.Body))) == 70000, "other length with %s", algorithm)
		sums := []*string{
			got.ChecksumCRC32, got.ChecksumCRC32C, got.ChecksumCRC64NVME, got.ChecksumSHA1,
			got.ChecksumSHA256,
		}
		count := 0
		for _, sum := range sums {
			if sum != nil {
				count++
			}
		}
		assert(count == 1, "%d checksums came back for %s", count, algorithm)
	}
	wrong := &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("wrong"), Body: strings.NewReader("x"),
		ChecksumCRC32: aws.String("AAAAAA=="),
	}
	refused[*s3.PutObjectOutput](400)(client.PutObject(ctx, wrong))
}

func multipart() {
	step("multipart")
	uploader := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 8 * mib })
	must(uploader.Upload(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: aws.String("big"), Body: bytes.NewReader(big),
	}))
	back := manager.NewWriteAtBuffer(nil)
	input := &s3.GetObjectInput{Bucket: bucket, Key: aws.String("big")}
	must(manager.NewDownloader(client).Download(ctx, back, input))
	assert(bytes.Equal(back.Bytes(), big), "other bytes")
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: input.Key}))
	assert(strings.HasSuffix(*head.ETag, `-5"`), "ETag %s", *head.ETag)

	key := aws.String("aborted")
	upload := must(client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: bucket, Key: key,
	}))
	must(client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: upload.UploadId,
	}))
	refused[*s3.ListPartsOutput](404)(client.ListParts(ctx, &s3.ListPartsInput{
		Bucket: bucket, Key: key, UploadId: upload.UploadId,
	}))
}

func presigned() {
	step("presigned links")
	presign := s3.NewPresignClient(client, s3.WithPresignExpires(time.Minute))
	key := aws.String("by link")
	link := must(presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key}))
	request := must(http.NewRequest(http.MethodPut, link.URL, strings.NewReader("by link")))
	for name, values := range link.SignedHeader {
		request.Header[name] = values
	}
	answer := must(http.DefaultClient.Do(request))
	assert(answer.StatusCode == 200, "%s %s", answer.Status, must(io.ReadAll(answer.Body)))
	link = must(presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key}))
	answer = must(http.Get(link.URL))
	assert(string(must(io.ReadAll(answer.Body))) == "by link", "other bytes")
}

func listsAndDeletes() {
	step("lists and deletes")
	must(client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/dir/hello.txt"),
	}))
	assert(string(get("copy")) == "hello sixfold", "other bytes")
	var keys []string
	var gone []types.ObjectIdentifier
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{
		Bucket: bucket, MaxKeys: aws.Int32(3),
	})
	for pages.HasMorePages() {
		for _, entry := range must(pages.NextPage(ctx)).Contents {
			keys = append(keys, *entry.Key)
			gone = append(gone, types.ObjectIdentifier{Key: entry.Key})
		}
	}
	expected := "[big by link copy dir/hello.txt empty grüße/日本 + &.txt once sum]"
	assert(fmt.Sprint(keys) == expected, "listed %v", keys)
	output := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: bucket, Delete: &types.Delete{Objects: gone},
	}))
	assert(len(output.Deleted) == len(keys) && len(output.Errors) == 0, "%+v", output)
	must(client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}))
}

func main() {
	must(rand.Read(big))
	client = s3.NewFromConfig(must(config.LoadDefaultConfig(ctx)), func(options *s3.Options) {
		options.BaseEndpoint = aws.String(os.Getenv("S3_ENDPOINT"))
		options.UsePathStyle = true
	})
	for _, part := range []func(){
		objects, conditions, checksums, multipart, presigned, listsAndDeletes,
	} {
		part()
	}
}
