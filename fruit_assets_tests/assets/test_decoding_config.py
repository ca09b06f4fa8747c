"""Tests of the run config of decoding: what it does to features and rejected images, and what the metadata count."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.assets.features.config import FeaturesConfig
from fruit_assets.images.pixels.decoding_options import DecodingOptions
from fruit_assets.images.pixels.opening import MAX_PIXELS
from fruit_assets_tests.assets.conftest import Graph
from fruit_assets_tests.images.odd_images import encoded, picture


def test_as_it_comes_images_are_decoded_as_by_keras():
    assert FeaturesConfig().decoding() == DecodingOptions(False, None, False, MAX_PIXELS)


@pytest.mark.parametrize("background", ["plaid", "#12345", "#11223344", ""])
def test_a_background_that_is_no_opaque_colour_is_refused(background):
    with pytest.raises(ValidationError, match="which is no colour: give a name such as white, or #rrggbb"):
        FeaturesConfig(background=background)


def _write_odd(graph: Graph) -> None:
    folder = graph.images / "odd"
    folder.mkdir()
    rotated, whole = Image.Exif(), encoded(picture(), "JPEG", quality=95)
    rotated[0x0112] = 6
    (folder / "rotated.jpg").write_bytes(encoded(picture(), "JPEG", exif=rotated.tobytes()))
    (folder / "cut.jpg").write_bytes(whole[: int(len(whole) * 0.95)])
    (folder / "cut out.png").write_bytes(encoded(Image.new("RGBA", (50, 50)), "PNG"))


def _features(graph: Graph) -> dict[str, np.ndarray]:
    table = graph.table("image_features")
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


def _counts(metadata: dict) -> list[int]:
    names = ("computed", "rotated_images", "transparent_images", "truncated_images", "featureless_images")
    return [metadata[name] for name in names]


@pytest.mark.long(30)
def test_options_change_what_they_are_about_and_their_features_are_kept_apart(graph):
    _write_odd(graph)
    assert _counts(graph.featurize()) == [14, 1, 1, 0, 1]
    plain = _features(graph)
    rejected = graph.table("rejected_images").to_pylist()
    assert [(row["path"], row["reason"]) for row in rejected] == [
        ("odd/cut.jpg", "truncated JPEG image: its end is missing")
    ]
    options = {"apply_exif_orientation": True, "background": "white", "tolerate_truncated": True}
    metadata = graph.featurize(**options)
    assert _counts(metadata) == [15, 1, 1, 1, 1]
    assert metadata["features_fingerprint"].endswith("~upright+on#ffffff+truncated-f32")
    other = _features(graph)
    assert graph.table("rejected_images").num_rows == 0
    # The features of random weights are small.
    rounding = 1e-4 * max(np.abs(features).max() for features in plain.values())
    changed = {path for path in plain if np.abs(plain[path] - other[path]).max() > rounding}
    assert changed == {"odd/rotated.jpg", "odd/cut out.png"}
    # Either way is remembered; of images that are taken over nothing is counted.
    assert _counts(graph.featurize(**options))[0] == 0
    assert graph.featurize()["computed"] == 0


@pytest.mark.long(30)
def test_another_limit_of_pixels_looks_again_at_the_rejected_images_alone(graph):
    _write_odd(graph)
    metadata = graph.featurize(max_pixels=10_000)
    reasons = {row["path"]: row["reason"] for row in graph.table("rejected_images").to_pylist()}
    assert "max_pixels allows 10,000 of a JPEG" in reasons["odd/rotated.jpg"]
    assert metadata["computed"] == graph.table("image_features").num_rows
    again = graph.featurize(max_pixels=120 * 90)
    assert (again["computed"], again["reused"]) == (1, metadata["computed"])
    assert {row["path"] for row in graph.table("rejected_images").to_pylist()} == {"odd/cut.jpg"}
