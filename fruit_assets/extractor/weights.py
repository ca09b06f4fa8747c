"""Where the weights of the network come from, made definite in seconds and without TensorFlow.

Put here what the values of `FRUIT_ASSETS_WEIGHTS` mean. `auto` never hides what it chose: random weights
carry a warning that becomes metadata and a failing check. Loading weights belongs in `export.py`.
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fruit_assets.errors import InputError, StorageError
from fruit_assets.extractor.architectures import DEFAULT, Architecture
from fruit_assets.object_store.stores import open_store

_PATIENCE_SECONDS = 4.0


@dataclass(frozen=True)
class WeightsSource:
    """Where the weights come from, resolved so far that it differs from any other.

    Attributes:
        kind: `imagenet`, `random` or `file`.
        location: path or `s3://` URI of a weights file; empty for the other kinds.
        identity: sha256 of the file, or the name of the weights.
        warning: why these weights will disappoint; empty when they are pretrained.
    """

    kind: Literal["imagenet", "random", "file"]
    location: str
    identity: str
    warning: str = ""


def resolve_weights(setting: str, input_size: int = 224, architecture: Architecture = DEFAULT) -> WeightsSource:
    """Make `FRUIT_ASSETS_WEIGHTS` definite, without TensorFlow.

    Args:
        setting: its value.
        input_size: of the extractor; some networks have ImageNet weights for each.
        architecture: the network they are for.

    Raises:
        InputError: the weights file does not exist or is not a Keras weights file.
    """
    if setting == "random":
        return WeightsSource("random", "", "seed 0", "The weights are random: FRUIT_ASSETS_WEIGHTS is 'random'.")
    if setting == "auto":
        return imagenet_or_random(architecture.weights_url(input_size))
    if setting == "imagenet":
        return WeightsSource("imagenet", "", "imagenet")
    content = _weights_bytes(setting)
    if not content.startswith(b"\x89HDF\r\n\x1a\n"):
        raise InputError(
            f"{setting} is not a Keras weights file (HDF5). FRUIT_ASSETS_WEIGHTS takes a file that Keras' download or "
            f"{architecture.name}(include_top=False).save_weights() wrote, 'imagenet', 'random' or 'auto'."
        )
    return WeightsSource("file", setting, hashlib.sha256(content).hexdigest())


def _weights_bytes(location: str) -> bytes:
    folder, _, name = location.rpartition("/")
    try:
        return open_store(folder or "/").get(name)
    except (KeyError, StorageError) as error:
        reason = "it does not exist" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"Cannot read the weights {location}: {reason}. FRUIT_ASSETS_WEIGHTS takes the path or s3:// URI of a "
            "Keras weights file, 'imagenet', 'random' or 'auto'."
        ) from error


def imagenet_or_random(url: str, patience_seconds: float = _PATIENCE_SECONDS) -> WeightsSource:
    """ImageNet weights when Keras has the file of this URL cached or its server answers in time, else random ones."""
    if (_keras_cache() / url.rpartition("/")[2]).is_file():
        return WeightsSource("imagenet", "", "imagenet")
    reason = _why_unreachable(url, patience_seconds)
    if reason is None:
        return WeightsSource("imagenet", "", "imagenet")
    return WeightsSource(
        "random",
        "",
        "seed 0",
        f"The weights are random, because the ImageNet weights could not be downloaded ({reason}). The features are "
        "of little use. Go online, or set FRUIT_ASSETS_WEIGHTS to a Keras weights file.",
    )


def _keras_cache() -> Path:
    return Path.home() / ".keras" / "models"


def _why_unreachable(url: str, patience_seconds: float) -> str | None:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  an https address of `architectures.py`
    try:
        with urllib.request.urlopen(request, timeout=patience_seconds):  # noqa: S310  the same
            return None
    except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
        return str(getattr(error, "reason", error))
