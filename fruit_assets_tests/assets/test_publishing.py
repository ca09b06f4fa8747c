"""How an asset ends: its last line in the log."""

import dagster as dg

from fruit_assets.assets.publishing import summary
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter


def _result(folder, metadata):
    staged = stage_files({"a": b"x" * 500_000}, VersionWriter(AssetStorage(uri=str(folder)).table("pca_model"), "run"))
    return dg.MaterializeResult(asset_key="pca_model", value=staged, metadata=metadata)


def _check(name, passed):
    return dg.AssetCheckResult(asset_key="pca_model", check_name=name, passed=passed)


def test_the_last_line_says_how_much_how_long_and_how_sound(tmp_path):
    result = _result(tmp_path, {"samples": 7, "seconds/moments": 1.26, "seconds/spark_start": 3.0})
    text = summary(result, [_check("finite_values", True), _check("orthonormal_components", True)])
    assert text == "Published pca_model: 1 rows, 0.5 MB; moments 1.3 s, spark start 3.0 s; 2 checks passed."


def test_a_failed_warning_is_named_in_the_last_line(tmp_path):
    text = summary(_result(tmp_path, {}), [_check("finite_values", True), _check("variance_explained", False)])
    assert text == "Published pca_model: 1 rows, 0.5 MB; look at variance_explained."
