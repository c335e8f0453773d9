"""A browser, headless, opens presigned links: one to save under a name, one to show.

Environment: as boto3_client.py. Chromium and its driver are Debian's.
"""

import os
import tempfile
import time

import boto3
from botocore.config import Config
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

BUCKET = os.environ["BUCKET"]
PATIENCE_SECONDS = 60
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def browser(profile, downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": downloads})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def saved(path):
    """Waits until the download is whole: Chromium gives it its name last."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if os.path.exists(path):
            return open(path, "rb").read()
        time.sleep(0.1)
    raise AssertionError(f"not saved: {path}, there is {os.listdir(os.path.dirname(path))}")


def main():
    config = Config(signature_version="s3v4")
    s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], config=config)
    body = os.urandom(3 * 1024 * 1024 + 17)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a/photo 1.bin", Body=body)
    s3.put_object(
        Bucket=BUCKET, Key="page.html", Body="<p id=x>Grüße</p>".encode(),
        ContentType="text/html; charset=utf-8",
    )

    def link(key, **arguments):
        arguments |= {"Bucket": BUCKET, "Key": key}
        return s3.generate_presigned_url("get_object", Params=arguments, ExpiresIn=300)

    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as downloads:
        chromium = browser(profile, downloads)
        try:
            print("step: a link saves the right bytes under the right name", flush=True)
            disposition = 'attachment; filename="holiday photo.bin"'
            chromium.get(link("a/photo 1.bin", ResponseContentDisposition=disposition))
            assert saved(os.path.join(downloads, "holiday photo.bin")) == body
            assert os.listdir(downloads) == ["holiday photo.bin"]

            print("step: a link shows a page in its own type", flush=True)
            chromium.get(link("page.html"))
            assert chromium.find_element(By.ID, "x").text == "Grüße"

            print("step: a broken link shows an error and saves nothing", flush=True)
            chromium.get(link("page.html").replace("page", "gone"))
            assert "SignatureDoesNotMatch" in chromium.page_source
            assert os.listdir(downloads) == ["holiday photo.bin"]
        finally:
            chromium.quit()
    for key in ["a/photo 1.bin", "page.html"]:
        s3.delete_object(Bucket=BUCKET, Key=key)
    s3.delete_bucket(Bucket=BUCKET)


if __name__ == "__main__":
    main()
