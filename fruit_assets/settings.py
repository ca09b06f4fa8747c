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

_S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?"
_PREFIX = "FRUIT_ASSETS_"
_KNOWN = {
    "DEPLOYMENT", "IMAGES", "STORAGE", "WEIGHTS", "STAGING", "EMR_CLUSTER", "KEEP_VERSIONS", "SSE", "KMS_KEY_ID",
    "DRIVER_MEMORY", "CACHE", "REFRESH_BUDGET", "PRICES", "TEST_DATA",
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
        refresh_budget: cron schedule (UTC); automation refreshes the graph at most once per tick of it.
        driver_memory: heap of the local Spark, such as `4g`; None is chosen from the machine.
        cache: folder for what can be rebuilt (jars, compiled models, class data).
        prices: JSON file with prices of instances that override those of the package; None has none.
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
    refresh_budget: str = "0 * * * *"
    prices: str | None = None
    java_home: str | None = None
    aws_endpoint_url: str | None = None
    aws_region: str | None = None

    @property
    def uses_s3(self) -> bool:
        return any(uri.startswith("s3://") for uri in (self.images, self.storage))

    @property
    def encryption(self) -> dict[str, str]:
        """What a PutObject request says about encryption; empty leaves it to the bucket."""
        asked = {"ServerSideEncryption": self.sse, "SSEKMSKeyId": self.kms_key_id}
        return {name: value for name, value in asked.items() if value}

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
    reader = _Reader(variables, folder)
    deployment = reader.one_of("DEPLOYMENT", ("local", "emr"), default="local")
    settings = Settings(
        deployment=cast("Deployment", deployment),
        images=reader.place("IMAGES", "data/demo_images"),
        images_are_demo=not reader.text("IMAGES"),
        storage=reader.place("STORAGE", "data/assets"),
        weights=reader.weights(),
        staging=reader.s3_uri("STAGING"),
        emr_cluster=reader.matching("EMR_CLUSTER", r"j-[A-Z0-9]+", "a cluster id looks like j-2AXXXXXXGAPLF"),
        keep_versions=int(reader.matching("KEEP_VERSIONS", r"[1-9]\d*", "use a whole number of at least 1") or 3),
        sse=reader.one_of("SSE", ("AES256", "aws:kms"), default=None),
        kms_key_id=reader.text("KMS_KEY_ID") or None,
        driver_memory=reader.matching("DRIVER_MEMORY", r"\d+[mg]", "write it like 4g or 900m"),
        cache=Path(reader.text("CACHE") or Path.home() / ".cache" / "fruit_assets").expanduser(),
        refresh_budget=reader.matching("REFRESH_BUDGET", r"\S+( \S+){4}", "use five cron fields, such as 0 * * * *")
        or "0 * * * *",
        prices=reader.file("PRICES"),
        java_home=variables.get("JAVA_HOME") or None,
        aws_endpoint_url=variables.get("AWS_ENDPOINT_URL_S3") or variables.get("AWS_ENDPOINT_URL") or None,
        aws_region=variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or None,
    )
    problems = [*_unknown(variables), *reader.problems, *_contradictions(settings)]
    if problems:
        raise SettingsError(problems)
    return settings


class _Reader:
    """Reads one variable at a time and remembers what was wrong with it."""

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self.problems: list[str] = []
        self._variables = variables
        self._folder = folder

    def text(self, name: str) -> str:
        return self._variables.get(_PREFIX + name, "").strip()

    def one_of(self, name: str, choices: tuple[str, ...], default: str | None) -> str | None:
        value = self.text(name) or default
        if value is not None and value not in choices:
            self._wrong(name, value, f"use {' or '.join(choices)}")
            return default
        return value

    def matching(self, name: str, pattern: str, advice: str) -> str | None:
        value = self.text(name) or None
        if value is not None and not re.fullmatch(pattern, value):
            self._wrong(name, value, advice)
            return None
        return value

    def s3_uri(self, name: str) -> str | None:
        return self.matching(name, _S3_URI, "use s3://bucket/prefix")

    def place(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if value.startswith(("s3a://", "s3n://")):
            self._wrong(name, value, "write s3:// (it works locally and on EMR)")
        elif "://" in value:
            self.matching(name, _S3_URI, "use a folder or s3://bucket/prefix")
        else:
            return str((self._folder / Path(value).expanduser()).resolve())
        return value.rstrip("/")

    def file(self, name: str) -> str | None:
        value = self.text(name)
        path = (self._folder / Path(value).expanduser()).resolve()
        if value and not path.is_file():
            self._wrong(name, value, "there is no such file")
        return str(path) if value else None

    def weights(self) -> str:
        value = self.text("WEIGHTS") or "imagenet"
        return value if value in ("imagenet", "random", "auto") else self.place("WEIGHTS", value)

    def _wrong(self, name: str, value: str, advice: str) -> None:
        self.problems.append(f"{_PREFIX}{name} is {value!r}: {advice}.")


def _unknown(variables: Mapping[str, str]) -> list[str]:
    known = ", ".join(_PREFIX + name for name in sorted(_KNOWN))
    return [
        f"{name} is not a setting of this project. Known: {known}."
        for name in sorted(variables)
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX) not in _KNOWN
    ]


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.kms_key_id and settings.sse != "aws:kms":
        problems.append(f"{_PREFIX}KMS_KEY_ID is set, but {_PREFIX}SSE is not aws:kms.")
    if settings.deployment != "emr":
        return problems
    if settings.staging is None:
        problems.append(f"{_PREFIX}STAGING is not set: with deployment 'emr' it names s3://bucket/prefix.")
    return problems + [
        f"{_PREFIX}{name} is {uri!r}: with deployment 'emr' it must be an s3:// URI the cluster can reach."
        for name, uri in (("IMAGES", settings.images), ("STORAGE", settings.storage))
        if not uri.startswith("s3://")
    ]


def _with_dotenv(folder: Path) -> dict[str, str]:
    """The process environment over the lines of `.env`; the environment wins."""
    from dotenv import dotenv_values

    from_file = {name: value for name, value in dotenv_values(folder / ".env").items() if value is not None}
    return {**from_file, **os.environ}
