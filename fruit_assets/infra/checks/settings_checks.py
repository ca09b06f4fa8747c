"""The settings and the places they name: images, storage, weights.

Put here checks of the FRUIT_ASSETS_* settings. Buckets are looked at more closely in `bucket_checks`.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from fruit_assets.errors import StorageError
from fruit_assets.extractor.architectures import DEFAULT
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning
from fruit_assets.object_store.stores import Store, open_store
from fruit_assets.settings import Settings

KERAS_CACHE = Path.home() / ".keras" / "models"
KERAS_FILE = DEFAULT.weights_url(224).rpartition("/")[2]


def check_images(settings: Settings) -> Iterator[Finding]:
    """The collection must not be empty; demo images are rendered when a run needs them."""
    place = settings.images
    if place.startswith("s3://"):
        store = open_store(place)
        first = next((item for item in store.list() if item.size), None)
        empty = first is None
        if first is not None:
            store.head(first.key, 1)
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
    """Storage must be writable and able to hold tables; both are tried with the clients that a run uses."""
    place = settings.storage
    if place.startswith("s3://"):
        _try_table(open_store(place, settings.sse, settings.kms_key_id).below(f"doctor-{uuid.uuid4().hex}"))
        yield ok("Storage", f"{place}: a table was made, read and removed")
        return
    existing = next(folder for folder in (Path(place), *Path(place).parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK):
        yield ok("Storage", place)
    else:
        yield problem("Storage", f"{existing} cannot be written", "Correct its owner, or FRUIT_ASSETS_STORAGE.")


def _try_table(store: Store) -> None:
    """Write a table of one row as workers and the driver do, read it and remove it; raises StorageError."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    store.put("part", b"doctor")
    try:
        if store.get("part") != b"doctor":
            raise StorageError(f"{store.uri_of('part')} does not hold the bytes just written to it.")
        uri, options = store.delta()
        options |= {"max_retries": "2"}
        write_deltalake(uri, pa.table({"row": [1]}), storage_options=options)
        DeltaTable(uri, storage_options=options)
    except OSError as error:
        raise StorageError(f"Delta Lake cannot write {store.uri}: {error}") from error
    finally:
        store.delete([item.key for item in store.list()])


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
    folder, _, name = uri.rpartition("/")
    try:
        open_store(folder).head(name, 1)
    except (KeyError, StorageError) as error:
        reason = "it does not exist" if isinstance(error, KeyError) else str(error)
        return problem("Weights", f"{uri}: {reason}", "Upload the file, or correct FRUIT_ASSETS_WEIGHTS.")
    return ok("Weights", uri)
