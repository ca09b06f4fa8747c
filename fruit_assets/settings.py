"""Settings: the one place that reads and sets environment variables, with those of `.env` among them.

Put here what a deployment needs to know before Dagster starts: places and names. What may
change from run to run (fractions, precision, components) is run config and lives with the
assets. Values are checked (`setting_values.py`) all at once and passed down; nothing else calls `os.environ`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from fruit_assets.errors import SettingsError
from fruit_assets.setting_values import PREFIX, SettingReader

Deployment = Literal["local", "emr", "emr-serverless"]
DEPLOYMENTS = get_args(Deployment)
# Measures that make a local run start sooner (`spark/fast_start/`).
FAST_START_MEASURES = frozenset(
    {"background", "class_data", "event_log", "freeze_gc", "imports", "small_tasks", "worker_daemon"}
)


@dataclass(frozen=True)
class Settings:
    """Where things are. Folders are absolute paths, S3 places are `s3://` URIs without a final slash.

    Attributes:
        deployment: `local` runs Spark here, `emr` runs each Spark asset as a step of an EMR cluster, `emr-serverless`
            as a job run of an EMR Serverless application.
        images: the image collection, laid out `<anything>/<label>/<file>`.
        images_are_demo: no collection was named; the demo collection is generated when absent.
        inventory: URI of an S3 Inventory report of the image bucket that stands in for listing it; None lists.
        storage: where assets are published.
        weights: `imagenet`, `random`, `auto`, a path, or an `s3://` URI of a Keras weights file.
        staging: `s3://` prefix for step launcher traffic; None with `local`.
        emr_cluster: id of a running cluster to use; None finds or creates one from the spec.
        emr_application: id of an EMR Serverless application to use; None finds or creates one from the spec.
        retention_days: how long files of replaced versions stay.
        sse: server-side encryption asked of S3 on every write: None (bucket default), `AES256` or `aws:kms`.
        kms_key_id: key for `aws:kms`; None is the account's default key.
        refresh_budget: cron schedule (UTC); automation refreshes the graph at most once per tick of it.
        driver_memory: heap of the local Spark, such as `4g`; None is chosen from the machine.
        cache: folder for what can be rebuilt (jars, compiled models, class data).
        prices: JSON file with prices of instances that override those of the package; None has none.
        fast_start: measures that make a local run start sooner, by name; empty uses none.
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
    retention_days: int
    sse: str | None
    kms_key_id: str | None
    driver_memory: str | None
    cache: Path
    refresh_budget: str = "0 * * * *"
    inventory: str | None = None
    prices: str | None = None
    fast_start: frozenset[str] = FAST_START_MEASURES
    java_home: str | None = None
    aws_endpoint_url: str | None = None
    aws_region: str | None = None
    emr_application: str | None = None

    @property
    def runs_on_emr(self) -> bool:
        return self.deployment != "local"

    @property
    def uses_s3(self) -> bool:
        return any(uri.startswith("s3://") for uri in (self.images, self.storage))

    @property
    def encryption(self) -> dict[str, str]:
        """Encryption arguments of a PutObject request; empty leaves it to the bucket."""
        asked = {"ServerSideEncryption": self.sse, "SSEKMSKeyId": self.kms_key_id}
        return {name: value for name, value in asked.items() if value}

    def for_cluster(self) -> dict[str, str]:
        """The variables that make a process on the cluster load these same settings; no secret among them."""
        values = {
            "DEPLOYMENT": self.deployment,
            "IMAGES": self.images,
            "INVENTORY": self.inventory,
            "STORAGE": self.storage,
            "STAGING": self.staging,
            "WEIGHTS": self.weights,
            "RETENTION_DAYS": str(self.retention_days),
            "SSE": self.sse,
            "KMS_KEY_ID": self.kms_key_id,
        }
        return {PREFIX + name: value for name, value in values.items() if value}


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read and check the settings.

    Args:
        environment: variables to read; the process environment over `.env` in `folder` when None. Then the other
            variables of `.env`, such as AWS_*, become part of the process environment, where libraries find them.
        folder: what relative paths are relative to; the working directory when None.

    Raises:
        SettingsError: lists every wrong setting at once.
    """
    folder = folder or _working_folder()
    variables = use_dotenv(folder) if environment is None else dict(environment)
    reader = SettingReader(variables, folder)
    settings = _read(reader)
    problems = [*reader.problems, *_contradictions(settings)]
    if problems:
        raise SettingsError(problems)
    return settings


def _read(reader: SettingReader) -> Settings:
    """Every setting; the reader notes what is wrong with any."""
    deployment = reader.one_of("DEPLOYMENT", DEPLOYMENTS, default="local")
    return Settings(
        deployment=cast("Deployment", deployment),
        images=reader.folder("IMAGES", "data/demo_images"),
        images_are_demo=not reader.text("IMAGES"),
        storage=reader.folder("STORAGE", "data/assets"),
        inventory=reader.s3_uri("INVENTORY"),
        weights=reader.weights(),
        staging=reader.staging(),
        emr_cluster=reader.matching("EMR_CLUSTER", r"j-[A-Z0-9]+", "a cluster id looks like j-2AXXXXXXGAPLF"),
        retention_days=int(
            reader.matching("RETENTION_DAYS", r"[1-9]\d{0,3}", "use a whole number of days, at least 1") or 7
        ),
        sse=reader.one_of("SSE", ("AES256", "aws:kms"), default=None),
        kms_key_id=reader.text("KMS_KEY_ID") or None,
        driver_memory=reader.matching("DRIVER_MEMORY", r"\d+[mg]", "write it like 4g or 900m"),
        cache=Path(reader.local_folder("CACHE", "~/.cache/fruit_assets")),
        refresh_budget=reader.matching("REFRESH_BUDGET", r"\S+( \S+){4}", "use five cron fields, such as 0 * * * *")
        or "0 * * * *",
        prices=reader.file("PRICES"),
        fast_start=reader.some_of("FAST_START", FAST_START_MEASURES),
        java_home=reader.first("JAVA_HOME"),
        aws_endpoint_url=reader.first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        aws_region=reader.first("AWS_REGION", "AWS_DEFAULT_REGION"),
        emr_application=reader.matching("EMR_APPLICATION", r"[0-9a-z]+", "an id looks like 00f1r2u3i4t5a6s7"),
    )


def _contradictions(settings: Settings) -> list[str]:
    problems = []
    if settings.kms_key_id and settings.sse != "aws:kms":
        problems.append(f"{PREFIX}KMS_KEY_ID is set, but {PREFIX}SSE is not aws:kms.")
    if not settings.runs_on_emr:
        return problems
    deployment = f"with deployment {settings.deployment!r}"
    if settings.staging is None:
        problems.append(f"{PREFIX}STAGING is not set: {deployment} it names s3://bucket/prefix.")
    return problems + [
        f"{PREFIX}{name} is {uri!r}: {deployment} it must be an s3:// URI the cluster can reach."
        for name, uri in (("IMAGES", settings.images), ("STORAGE", settings.storage))
        if not uri.startswith("s3://")
    ]


def require_sound_aws_variables() -> None:
    """Check the AWS_* variables of this process alone, for commands that need no other setting.

    Raises:
        SettingsError: lists those that no AWS library can use.
    """
    ours = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    if problems := SettingReader(ours, Path()).problems:
        raise SettingsError(problems)


def process_environment(without: Iterable[str] = ()) -> dict[str, str]:
    """A copy of the environment of this process, for its children, without variables whose names begin so."""
    return {name: value for name, value in os.environ.items() if not name.startswith(tuple(without))}


def set_variables(values: Mapping[str, str], *, override: bool = True) -> None:
    """Set variables of this process that a library reads; with `override` false only those that are not set."""
    for name, value in values.items():
        if override or name not in os.environ:
            os.environ[name] = value


def unset_variables(names: Iterable[str]) -> None:
    """Take variables out of this process's environment."""
    for name in names:
        os.environ.pop(name, None)


def dotenv_path() -> str:
    """The path of `.env`, and whether it exists; for messages."""
    path = _working_folder() / ".env"
    return f"{path}" if path.is_file() else f"{path} (there is no such file)"


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise SettingsError(["The working folder has been deleted: change to a folder that exists."]) from None


def use_dotenv(folder: Path | None = None) -> dict[str, str]:
    """The process environment over the lines of `.env`; the environment wins.

    Variables that are not ours, such as AWS_*, become part of the process environment.
    """
    from_file = read_dotenv((folder or _working_folder()) / ".env")
    others = {name: value for name, value in from_file.items() if not name.startswith(PREFIX)}
    set_variables(others, override=False)
    return {**from_file, **os.environ}


def read_dotenv(path: Path, *, interpolate: bool = True) -> dict[str, str]:
    """The variables in a `.env` file; empty when there is no file.

    Raises:
        SettingsError: it cannot be read, or is not text in UTF-8.
    """
    from dotenv import dotenv_values

    try:
        # Editors on Windows begin a file with a byte order mark, which would be part of the first name.
        found = dotenv_values(path, interpolate=interpolate, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x} at {error.start})"
        raise SettingsError([f"{problem}: save it in UTF-8."]) from None
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror}."]) from error
    values = {name: value for name, value in found.items() if value is not None}
    if wrong := [name for name, value in values.items() if not name or "\0" in name + value]:
        raise SettingsError([f"{path} has a NUL character or no name in a line ({wrong[0]!r}): correct the line."])
    return values
