"""The settings and the places they name: images, storage, weights.

Put here checks of the FRUIT_ASSETS_* settings. Buckets are looked at more closely in `bucket_checks`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client
from fruit_assets.extractor.architectures import DEFAULT
from fruit_assets.infra.findings import Finding, ok, problem, warning
from fruit_assets.settings import Settings

KERAS_CACHE = Path.home() / ".keras" / "models"
KERAS_FILE = DEFAULT.weights_url(224).rpartition("/")[2]


def check_images(settings: Settings) -> Iterator[Finding]:
    """The collection must hold something; demo images are made when asked for."""
    place = settings.images
    if place.startswith("s3://"):
        bucket, prefix = _split(place)
        prefix = f"{prefix}/" if prefix else ""
        found = call_with_retries(
            client("s3", None).list_objects_v2, patience=5, Bucket=bucket, Prefix=prefix, MaxKeys=1
        )
        empty = not found.get("KeyCount")
    elif settings.images_are_demo and not Path(place).exists():
        yield ok("Images", f"demo images will be made in {place}")
        return
    else:
        empty = not any(Path(place).rglob("*.*"))
    if empty:
        copy = f"aws s3 sync <folder> {place}/" if place.startswith("s3://") else f"copy <label>/<file> into {place}"
        yield problem("Images", f"nothing in {place}", f"Put images there ({copy}), or correct FRUIT_ASSETS_IMAGES.")
    else:
        yield ok("Images", place)


def check_storage(settings: Settings) -> Iterator[Finding]:
    """A local folder must be writable; a bucket is checked with the buckets."""
    place = settings.storage
    if place.startswith("s3://"):
        return
    existing = next(folder for folder in (Path(place), *Path(place).parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        yield ok("Storage", place)
    else:
        yield problem("Storage", f"{existing} cannot be written", "Correct its owner, or FRUIT_ASSETS_STORAGE.")


def check_weights(settings: Settings, keras_cache: Path = KERAS_CACHE) -> Iterator[Finding]:
    """Weights that are not pretrained give features that recognise little."""
    weights = settings.weights
    cached = (keras_cache / KERAS_FILE).exists()
    if weights == "random":
        yield warning("Weights", "random: untrained features", "Set FRUIT_ASSETS_WEIGHTS=imagenet for real ones.")
    elif weights in ("imagenet", "auto"):
        detail = "in Keras' cache" if cached else "not cached; Keras downloads 9 MB on the first run"
        if cached:
            yield ok("Weights", f"{weights}, {detail}")
        else:
            remedy = "Nothing, with internet. Without: set FRUIT_ASSETS_WEIGHTS to a weights file."
            yield warning("Weights", f"{weights}, {detail}", remedy)
    elif weights.startswith("s3://"):
        yield _weights_in_s3(weights)
    elif Path(weights).is_file():
        yield ok("Weights", weights)
    else:
        yield problem("Weights", f"{weights} is not a file", "Correct FRUIT_ASSETS_WEIGHTS.")


def _weights_in_s3(uri: str) -> Finding:
    bucket, key = _split(uri)
    try:
        size = call_with_retries(client("s3", None).head_object, patience=5, Bucket=bucket, Key=key)["ContentLength"]
    except AwsRefusedError as error:
        return problem("Weights", f"{uri}: {error}", "Upload the file, or correct FRUIT_ASSETS_WEIGHTS.")
    return ok("Weights", f"{uri}, {size / 1e6:.0f} MB")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
