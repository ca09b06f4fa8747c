"""Version skew is reported with both versions; what only looks different is not skew."""

from unittest.mock import patch

from fruit_assets.emr.protocol import versions
from fruit_assets.emr.protocol.versions import differences, orchestrator_versions


def test_equal_versions_are_no_skew() -> None:
    assert differences(orchestrator_versions("fruit_assets"), ["dagster", "boto3", "pyspark"]) == []


def test_every_difference_names_both_versions() -> None:
    expected = {"python": "3.9", "spark": "3.5.6-amzn-1", "dagster": "1.0.0", "fruit_assets": "9.9"}
    message = " ".join(differences(expected, ["cucumbers"]))
    for word in ("3.9", "3.5.6-amzn-1", "1.0.0", "9.9", "'cucumbers'", *orchestrator_versions("fruit_assets").values()):
        assert word in message


def test_emrs_build_of_the_same_spark_is_no_skew() -> None:
    with patch.object(versions, "_spark_version", return_value="4.1.1-amzn-0"):
        assert differences({"spark": "4.1.2"}, []) == []
        assert differences({"spark": "4.0.2"}, []) != []


def test_a_cluster_without_an_installed_copy_of_shipped_code_is_no_skew() -> None:
    with patch.object(versions, "installed", return_value="absent"):
        assert differences({"fruit_assets": "0.1.0"}, []) == []
        assert differences({"dagster": "1.13.27"}, []) != []
