"""Settings: the one place that reads environment variables.

Put here what a deployment needs to know before Dagster starts: places and names. What may
change from run to run (fractions, precision, components) is run config and lives with the
assets. Values are checked all at once and passed down; nothing else calls `os.environ`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from fruit_assets.errors import SettingsError

Deployment = Literal["local", "emr"]

_S3_URI = re.compile(r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$")
_CLUSTER_ID = re.compile(r"^j-[A-Z0-9]{1,}$")
_PREFIX = "FRUIT_ASSETS_"
_KNOWN = {
    "DEPLOYMENT", "IMAGES", "STORAGE", "WEIGHTS", "STAGING", "EMR_CLUSTER", "KEEP_VERSIONS", "SSE", "KMS_KEY_ID",
    "DRIVER_MEMORY", "CACHE", "TEST_DATA",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Where things are. Folders are absolute paths, S3 places are `s3://` URIs without a final slash.

    Attributes:
        deployment: `local` runs Spark here, `emr` runs each Spark asset as an EMR step.
        images: the image collection, laid out `<anything>/<label>/<file>`.
        images_are_demo: no collection was named; the demo collection is generated when absent.
        storage: where assets are published.
        weights: `imagenet`, `random`, `auto`, a path, or an `s3://` URI of a Keras weights file.
        staging: `s3://` prefix for step launcher traffic; only with `emr`.
        emr_cluster: id of a running cluster to use; None finds or creates one from the spec.
        keep_versions: published versions kept per asset.
        sse: server-side encryption asked of S3 on every write: None (bucket default), `AES256` or `aws:kms`.
        kms_key_id: key for `aws:kms`; None is the account's default key.
        driver_memory: heap of the local Spark, such as `4g`; None is chosen from the machine.
        cache: folder for what can be rebuilt (jars, compiled models, class data).
        java_home: `JAVA_HOME`, as Spark's launcher reads it.
        aws_endpoint_url: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`; None is AWS itself.
        aws_region: `AWS_REGION` or `AWS_DEFAULT_REGION`.
    """

    deployment: Deployment
    images: str
    images_are_demo: bool
    storage: str
    weights: str
    staging: str | None
    emr_cluster: str | None
    keep_versions: int
    sse: str | None
    kms_key_id: str | None
    driver_memory: str | None
    cache: Path
    java_home: str | None = None
    aws_endpoint_url: str | None = None
    aws_region: str | None = None

    @property
    def uses_s3(self) -> bool:
        return any(uri.startswith("s3://") for uri in (self.images, self.storage))

    def for_cluster(self) -> dict[str, str]:
        """The variables that make a process on the cluster load these same settings; no secret among them."""
        values = {
            "DEPLOYMENT": self.deployment,
            "IMAGES": self.images,
            "STORAGE": self.storage,
            "STAGING": self.staging,
            "WEIGHTS": self.weights,
            "KEEP_VERSIONS": str(self.keep_versions),
            "SSE": self.sse,
            "KMS_KEY_ID": self.kms_key_id,
        }
        return {_PREFIX + name: value for name, value in values.items() if value}


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read and check the settings.

    Args:
        environment: variables to read; the process environment over `.env` in `folder` when None.
        folder: what relative paths are relative to; the working directory when None.

    Raises:
        SettingsError: lists every wrong setting at once.
    """
    folder = folder or Path.cwd()
    variables = _with_dotenv(folder) if environment is None else dict(environment)
    get = {name: variables.get(_PREFIX + name, "").strip() for name in _KNOWN}.__getitem__
    problems: list[str] = [
        f"{name} is not a setting of this project. Known: {', '.join(_PREFIX + known for known in sorted(_KNOWN))}."
        for name in sorted(variables)
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in _KNOWN
    ]

    deployment = get("DEPLOYMENT") or "local"
    if deployment not in ("local", "emr"):
        problems.append(f"{_PREFIX}DEPLOYMENT is {deployment!r}: use 'local' or 'emr'.")

    def place(name: str, default: str) -> str:
        value = get(name) or default
        if value.startswith(("s3a://", "s3n://")):
            problems.append(f"{_PREFIX}{name} is {value!r}: write s3:// (it works locally and on EMR).")
        elif "://" in value:
            if not _S3_URI.match(value):
                problems.append(f"{_PREFIX}{name} is {value!r}: use a folder or s3://bucket/prefix.")
        else:
            return str((folder / Path(value).expanduser()).resolve())
        return value.rstrip("/")

    images = place("IMAGES", "data/demo_images")
    storage = place("STORAGE", "data/assets")
    weights = get("WEIGHTS") or "imagenet"
    if weights not in ("imagenet", "random", "auto"):
        weights = place("WEIGHTS", weights)

    staging = get("STAGING").rstrip("/") or None
    if staging is not None and not _S3_URI.match(staging):
        problems.append(f"{_PREFIX}STAGING is {staging!r}: use s3://bucket/prefix.")
    emr_cluster = get("EMR_CLUSTER") or None
    if emr_cluster is not None and not _CLUSTER_ID.match(emr_cluster):
        problems.append(f"{_PREFIX}EMR_CLUSTER is {emr_cluster!r}: a cluster id looks like j-2AXXXXXXGAPLF.")
    if deployment == "emr":
        if staging is None:
            problems.append(f"{_PREFIX}STAGING is not set: with deployment 'emr' it names s3://bucket/prefix.")
        problems += [
            f"{_PREFIX}{name} is {uri!r}: with deployment 'emr' it must be an s3:// URI the cluster can reach."
            for name, uri in (("IMAGES", images), ("STORAGE", storage))
            if not uri.startswith("s3://")
        ]

    keep = get("KEEP_VERSIONS") or "3"
    if not keep.isdigit() or int(keep) < 1:
        problems.append(f"{_PREFIX}KEEP_VERSIONS is {keep!r}: use a whole number of at least 1.")
    sse = get("SSE") or None
    if sse not in (None, "AES256", "aws:kms"):
        problems.append(f"{_PREFIX}SSE is {sse!r}: use AES256 or aws:kms, or leave it to the bucket's default.")
    kms_key_id = get("KMS_KEY_ID") or None
    if kms_key_id and sse != "aws:kms":
        problems.append(f"{_PREFIX}KMS_KEY_ID is set, but {_PREFIX}SSE is not aws:kms.")
    driver_memory = get("DRIVER_MEMORY") or None
    if driver_memory and not re.fullmatch(r"\d+[mg]", driver_memory):
        problems.append(f"{_PREFIX}DRIVER_MEMORY is {driver_memory!r}: write it like 4g or 900m.")

    if problems:
        raise SettingsError(problems)
    return Settings(
        deployment=cast(Deployment, deployment),
        images=images,
        images_are_demo=not get("IMAGES"),
        storage=storage,
        weights=weights,
        staging=staging,
        emr_cluster=emr_cluster,
        keep_versions=int(keep),
        sse=sse,
        kms_key_id=kms_key_id,
        driver_memory=driver_memory,
        cache=Path(get("CACHE")).expanduser() if get("CACHE") else Path.home() / ".cache" / "fruit_assets",
        java_home=variables.get("JAVA_HOME") or None,
        aws_endpoint_url=variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or None,
        aws_region=variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or None,
    )


def _with_dotenv(folder: Path) -> dict[str, str]:
    """The process environment over the lines of `.env`; the environment wins."""
    from dotenv import dotenv_values

    from_file = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    return {**from_file, **os.environ}
