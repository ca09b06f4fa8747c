"""Files of unusual kinds in a collection: images among them take part, the others are named."""

import io
import shutil

import pyarrow as pa
from PIL import Image

from fruit_assets.assets.features.checks import mostly_readable
from fruit_assets.assets.features.report import RejectedRows
from fruit_assets.keys.key_table import KeyDatabase, KeyTable

_HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64


def test_the_commonest_cause_is_counted_whatever_the_decoders_add_to_it():
    reasons = [("Fig/1.jpg", "empty file (0 bytes)"), ("Fig/2.jpg", "empty file (0 bytes)")]
    reasons += [(f"Kiwi/{number}.jpg", f"damaged JPEG image: bad marker at {number}") for number in range(3)]
    paths, texts = zip(*reasons, strict=True)
    rejected = RejectedRows(KeyTable.of(pa.table({"path": paths, "reason": texts}), KeyDatabase()))
    found = mostly_readable(8, rejected.count, rejected.commonest, 0.5)
    assert not found.passed
    assert "5 of 8 images were rejected; 50% are allowed." in found.description
    assert (
        "The commonest cause, 3 times: damaged JPEG image, such as Kiwi/0.jpg (damaged JPEG image: bad marker at 0)."
        in found.description
    )


def test_images_are_found_by_content_and_a_class_without_any_is_named_in_log_metadata_and_check(graph, capfd):
    some = sorted(path for path in graph.images.rglob("*") if path.is_file())
    avif = io.BytesIO()
    Image.open(some[0]).save(avif, "AVIF")
    some[0].write_bytes(avif.getvalue())  # named .jpg all the same
    label = some[1].parent
    shutil.move(some[1], label / "without suffix")
    shutil.move(some[2], label / "renamed.jfif")
    (graph.images / "Medlar").mkdir()
    for name in ("a.heic", "b.heic"):
        (graph.images / "Medlar" / name).write_bytes(_HEIC)
    (label / "c.heic").write_bytes(_HEIC)
    result = graph.run("sampled_images", "feature_extractor", "image_features", "rejected_images")
    paths = graph.table("image_features")["path"].to_pylist()
    assert len(paths) == 12
    assert {f"{label.name}/without suffix", f"{label.name}/renamed.jfif", f"{label.name}/{some[0].name}"} <= set(paths)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["class_coverage"].passed
    assert "1 more hold no file that can be read as an image: Medlar (2 files)" in checks["class_coverage"].description
    [observed] = [
        event.asset_observation_data.asset_observation for event in result.all_events if event.is_asset_observation
    ]
    table = observed.metadata["ignored_unusual_files"].value
    assert "| `Medlar` | `.heic` | 2 |" in table
    assert f"| `{label.name}` | `.heic` | 1 |" in table
    warned = f"Ignored 3 file(s) that are no images by suffix or content: 2 .heic in Medlar; 1 .heic in {label.name}."
    assert warned in capfd.readouterr().err
