"""Logs that a service uploaded to S3: found by listing, decompressed, and cut to their last lines.

Put here what logs of all services share. Their location is known to each service's module.
"""

import gzip
import zlib

from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.staging import StagingStore, bucket_and_key

TAIL_LINES = 60
_NOT_THERE = "(cannot be read: {})"


def log_tails(folder_uri: str, region: str | None) -> dict[str, str]:
    """The last lines of every log in a folder, by name without suffix; empty until the service has uploaded them.

    File names differ between releases (`stderr.gz`, `stderr.txt.gz`), so the folder is listed.
    """
    folder = StagingStore(folder_uri, region)
    return {name.split("/")[-1].split(".")[0]: log_tail(folder, name) for name in folder.list_keys()}


def log_links(folder_uri: str, region: str) -> dict[str, str]:
    """Addresses of a folder of logs, by title."""
    bucket, prefix = bucket_and_key(folder_uri)
    console = f"https://{region}.console.aws.amazon.com/s3/buckets/{bucket}?region={region}&prefix={prefix}"
    return {"logs": folder_uri, "logs in the console": console}


def log_tail(folder: StagingStore, name: str) -> str:
    """The last lines of one log, or why it cannot be read."""
    try:
        stored = folder.get(name)
    except ActionableError as error:
        return _NOT_THERE.format(error)
    raw = stored.body if stored else b""
    if name.endswith(".gz"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            return _NOT_THERE.format(error)
    return "\n".join(raw.decode(errors="replace").splitlines()[-TAIL_LINES:])
