"""Whether the ImageNet weights can be had, found out in seconds.

Put here what `FRUIT_ASSETS_WEIGHTS=auto` means. It never hides what it chose: random weights carry a
warning that becomes metadata and a failing check.
"""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from fruit_assets.pipeline.extractor import WeightsSource

_KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
_PATIENCE_SECONDS = 4.0


def imagenet_or_random(input_size: int, patience_seconds: float = _PATIENCE_SECONDS) -> WeightsSource:
    """ImageNet weights when Keras has them cached or its server answers in time, else random ones."""
    if any(_keras_cache().glob(f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{input_size}_no_top.h5")):
        return WeightsSource("imagenet", "", "imagenet")
    reason = _why_unreachable(patience_seconds)
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


def _why_unreachable(patience_seconds: float) -> str | None:
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    request = urllib.request.Request(_KERAS_FILES + name, method="HEAD")  # noqa: S310  a constant https address
    try:
        with urllib.request.urlopen(request, timeout=patience_seconds):  # noqa: S310  the same
            return None
    except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
        return str(getattr(error, "reason", error))
