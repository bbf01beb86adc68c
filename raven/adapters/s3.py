"""The storage port over S3; Ceph RGW is the reference."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session
from boto3.exceptions import Boto3Error, S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnection

from raven import names, tls
from raven.errors import FULL, ClockWrong, ConfigError, NoRoom, ObjectMissing, RavenError, StorageAway, Unavailable
from raven.ports import DELETE_BATCH, Entry, nothing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import MultipartUploadTypeDef

MULTIPART_BYTES = 64 << 20  # above this an object goes up in parts; all segments stay below it
CONNECTIONS = 32  # requests side by side in one daemon
SILENT_SECONDS = 30  # without a byte a connection is given up; the next attempt may get another gateway
SERVER_FAULT = 500  # from this status on it is not the request that is wrong
_NETWORK = (NoConnection, HTTPClientError, IncompleteReadError)


def _session() -> boto3.Session:
    """With the usual AWS means of finding keys."""
    session = botocore.session.get_session()
    # nothing here reads dates, and to parse them takes three quarters of the time of a listing (33 of 44 ms a page)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    return boto3.Session(botocore_session=session)


def _trusted(endpoint: str | None, trusted: str | None) -> str | None:
    """The file of authorities for botocore; None for its own, or those of AWS_CA_BUNDLE. Raises ConfigError."""
    if trusted is None:
        return None
    if endpoint is not None and not endpoint.startswith("https:"):
        raise ConfigError("storage: tls stands beside an endpoint that begins with https://")
    tls.trusting("storage", trusted)  # here, as botocore would look at the file at the first request
    return tls.system_file("storage") if trusted == tls.SYSTEM else trusted


class S3Storage:
    """One bucket and prefix. Safe for several threads."""

    def __init__(self, url: str, public_url: str | None = None) -> None:
        parts = urlsplit(url)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        unknown = set(query) - {"endpoint", "region", "tls"}
        if not parts.netloc or unknown:
            raise ConfigError("storage: write it as s3://bucket/prefix?endpoint=https://host (and &region=, &tls=FILE)")
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self._endpoint = query.get("endpoint")
        self._public_url = public_url.rstrip("/") if public_url else None
        try:
            self._client: S3Client = _session().client(
                "s3",
                endpoint_url=self._endpoint,
                region_name=query.get("region", "us-east-1"),
                verify=_trusted(self._endpoint, query.get("tls")),
                config=Config(
                    # with the defaults RGW 16 refuses every PUT over TLS (aws-chunked trailers)
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    max_pool_connections=CONNECTIONS,
                    connect_timeout=5,
                    read_timeout=SILENT_SECONDS,
                    retries={"mode": "standard", "max_attempts": 4},
                    s3={"addressing_style": "path"},  # works with and without wildcard DNS
                ),
            )
        except ValueError as error:
            raise ConfigError(f"storage: {error}; write endpoint=https://host") from error

    def put(self, key: str, content: bytes | Path) -> None:
        with self._errors(key):
            if isinstance(content, Path) and content.stat().st_size > MULTIPART_BYTES:
                transfer = TransferConfig(multipart_threshold=MULTIPART_BYTES, multipart_chunksize=MULTIPART_BYTES)
                extra = {"ContentType": names.mime_type(key)}
                self._client.upload_file(str(content), self._bucket, self._prefix + key, extra, Config=transfer)
                return
            body = content if isinstance(content, bytes) else content.read_bytes()
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=body,
                ContentType=names.mime_type(key),
                # the gateway refuses what arrived damaged
                ContentMD5=base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            )

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        last = "" if length is None else str(start + length - 1)
        with self._errors(key):
            if start == 0 and length is None:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            else:
                try:
                    answer = self._client.get_object(
                        Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={start}-{last}"
                    )
                except ClientError as error:
                    if _code(error) == "InvalidRange":  # past the end there is nothing, as in a file
                        return b""
                    raise
            return answer["Body"].read()

    def fetch(self, key: str, path: Path) -> None:
        with self._errors(key), path.open("wb") as file:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            for block in answer["Body"].iter_chunks(1 << 20):
                file.write(block)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        with self._errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, StartAfter=self._prefix + after if after else ""
            )
            for page in pages:
                for item in page.get("Contents", []):
                    yield Entry(item["Key"].removeprefix(self._prefix), item["Size"])

    def delete_prefix(self, prefix: str, check: Callable[[], None] = nothing) -> int:
        check()
        self._abort_uploads(prefix)
        count = 0
        batch: list[str] = []
        for entry in self.entries(prefix):
            batch.append(entry.key)
            if len(batch) == DELETE_BATCH:
                check()
                self.delete(batch)
                count, batch = count + len(batch), []
        check()
        self.delete(batch)
        return count + len(batch)

    def _abort_uploads(self, prefix: str) -> None:
        """Those in parts whose uploader was killed: no listing of objects shows them, and nobody else removes them."""
        with self._errors(prefix):
            for upload in list(self._uploads(prefix)):
                self._abort(upload)

    def _uploads(self, prefix: str) -> Iterator[MultipartUploadTypeDef]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        for page in pages:
            yield from page.get("Uploads", [])

    def _abort(self, upload: MultipartUploadTypeDef) -> None:
        with suppress(self._client.exceptions.NoSuchUpload):  # it was finished or aborted meanwhile
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        with self._errors(keys[0]):
            answer = self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": self._prefix + key} for key in keys], "Quiet": True},
            )
        if failed := answer.get("Errors"):
            raise Unavailable(f"storage: {len(failed)} objects not removed: {failed[0].get('Message', '')}")

    def leftovers(self, seconds: float, *, remove: bool) -> int:
        before, count = time.time() - seconds, 0
        with self._errors(""):
            for upload in [upload for tree in names.TREES for upload in self._uploads(tree)]:
                begun = datetime.fromisoformat(str(upload["Initiated"]))  # dates are not parsed here
                if begun.timestamp() < before:
                    count += 1
                    if remove:
                        self._abort(upload)
        return count

    def url(self, key: str) -> str:
        if self._public_url:
            return f"{self._public_url}/{key}"
        base = self._endpoint.rstrip("/") if self._endpoint else "https://s3.amazonaws.com"
        return f"{base}/{self._bucket}/{self._prefix}{key}"

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._answered(error, key) from error
        except S3UploadFailedError as error:  # which hides what the server said in one upload of many parts
            if isinstance(error.__context__, ClientError):
                raise self._answered(error.__context__, key) from error
            raise Unavailable(f"storage: {error}") from error
        except _NETWORK as error:
            raise StorageAway(f"storage: {tls.told(error)}") from error
        except OSError as error:
            if error.errno in FULL:  # of this host: a gateway says it in other words
                raise NoRoom(f"no room for {key} in the temporary files: {error.strerror}") from error
            raise Unavailable(f"storage: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise Unavailable(f"storage: {error}") from error

    def _answered(self, error: ClientError, key: str) -> RavenError:
        """What an answer that is an error means."""
        code = _code(error)
        if code in ("NoSuchKey", "404"):
            return ObjectMissing(f"storage: no object {key}")
        if code == "RequestTimeTooSkewed":
            return ClockWrong("storage: it refuses the time of this host's clock; set it (timedatectl set-ntp true)")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = StorageAway if status >= SERVER_FAULT else Unavailable
        return kind(f"storage: {code or error} for {key} in bucket {self._bucket}")


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
