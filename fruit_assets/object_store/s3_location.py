"""Locations on S3. Put here how `s3://` URIs are parsed and written; nothing here calls S3."""

import re
from typing import NamedTuple
from urllib.parse import quote

from fruit_assets.errors import InputError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class S3Location(NamedTuple):
    """A bucket and a prefix, which neither begins nor ends with a slash."""

    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, name: str) -> str:
        """The S3 key of an object below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def below(self, name: str) -> "S3Location":
        return S3Location(self.bucket, self.key(name).strip("/"))

    def table_uri(self) -> str:
        """The URI of this location for delta-rs; raises InputError."""
        return f"s3://{self.bucket}/{table_path(self.prefix)}".rstrip("/")


def table_path(path: str, unsupported: str = "//|%[0-9A-Fa-f]{2}") -> str:
    """A path as delta-rs expects it in a URI, percent-encoded.

    Raises:
        InputError: it has a part that delta-rs cannot represent.
    """
    if found := re.search(unsupported, path):
        raise InputError(
            f"{path} cannot hold tables: Delta Lake does not support {found[0]!r} in a path. "
            "Choose another FRUIT_ASSETS_STORAGE."
        )
    return quote(path)


def parse_s3_uri(uri: str) -> S3Location:
    """The location that `s3://bucket/prefix` names.

    The prefix is literal: '#', '?', '%' and blanks have no special meaning. Slashes at its ends are dropped, so
    `s3://bucket//prefix/` is `s3://bucket/prefix`; within it they are part of the keys.

    Raises:
        InputError: it is not an S3 URI.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise InputError(f"{uri!r} is not an S3 location: use s3://bucket/prefix.")
    return S3Location(bucket, prefix.strip("/"))
