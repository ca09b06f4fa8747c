"""Tests of the extractor through the graph: what its weights are is never hidden."""

import pytest

from fruit_assets.extractor import weights
from fruit_assets_tests.assets.conftest import NoSpark, UnannouncedSpark
from fruit_assets_tests.conftest import materialised_metadata


def _check(evaluations):
    [check] = [item for item in evaluations if item.check_name == "weights_are_pretrained"]
    return check


def test_auto_offline_goes_on_with_a_warning_metadata_and_a_check_that_does_not_pass(
    make_graph, monkeypatch, tmp_path, collection
):
    monkeypatch.setattr(weights, "_why_unreachable", lambda url, patience: "unplugged")
    monkeypatch.setenv("HOME", str(tmp_path))
    graph = make_graph(weights="auto")
    result = graph.run("feature_extractor", config={"feature_extractor": {"input_size": 96}})
    check = _check(result.get_asset_check_evaluations())
    assert (check.passed, check.severity.value) == (False, "WARN")
    assert "unplugged" in check.description
    metadata = materialised_metadata(result, "feature_extractor")
    assert "could not be downloaded (unplugged)" in metadata["warning"]
    assert metadata["weights"].startswith("random")
    logged = [record.user_message for record in graph.instance.all_logs(result.run_id) if record.level >= 30]
    assert any("The weights are random, because" in text for text in logged)

    named = make_graph(weights="random").run("feature_extractor", config={"feature_extractor": {"input_size": 96}})
    again = materialised_metadata(named, "feature_extractor")
    assert again["fingerprint"] == metadata["fingerprint"]
    assert not again["exported_by_this_run"]
    assert "FRUIT_ASSETS_WEIGHTS is 'random'" in _check(named.get_asset_check_evaluations()).description


def test_an_extractor_that_exists_is_taken_over_and_a_damaged_one_exported_again(graph):
    assert not materialised_metadata(graph.run("feature_extractor"), "feature_extractor")["exported_by_this_run"]
    version = graph.current("feature_extractor")
    [model] = [file for file in version.files if file.least == {"name": "extractor.xml"}]
    (version.store.root / model.path).write_bytes(b"<damaged>")
    metadata = materialised_metadata(graph.run("feature_extractor"), "feature_extractor")
    assert metadata["exported_by_this_run"]
    assert graph.featurize()["computed"] == 12


_FEATURIZING = ("sampled_images", "feature_extractor", "image_features", "rejected_images")


def test_spark_starts_beside_the_extractor_only_where_the_run_featurises_the_first_sample(graph):
    graph.replaced["spark"] = NoSpark()
    graph.run("feature_extractor")
    asked = graph.run(*_FEATURIZING, success=False)
    assert "feature_extractor" in {event.step_key for event in asked.all_events if event.is_step_failure}
    graph.replaced["spark"] = UnannouncedSpark()
    graph.run("sampled_images", "feature_extractor")
    graph.replaced["spark"] = NoSpark()
    asked = graph.run(*_FEATURIZING, success=False)
    assert {event.step_key for event in asked.all_events if event.is_step_failure} == {"image_features"}


def test_an_export_alone_starts_no_spark(graph):
    graph.replaced["spark"] = NoSpark()
    metadata = graph.run("feature_extractor", config={"feature_extractor": {"input_size": 96}})
    assert materialised_metadata(metadata, "feature_extractor")["exported_by_this_run"]


@pytest.mark.parametrize("size", [96])
def test_another_input_size_is_another_extractor(graph, size):
    small = {"feature_extractor": {"input_size": size}}
    first = materialised_metadata(graph.run("feature_extractor"), "feature_extractor")
    result = graph.run("sampled_images", "feature_extractor", "image_features", "rejected_images", config=small)
    assert materialised_metadata(result, "feature_extractor")["fingerprint"] != first["fingerprint"]
    assert materialised_metadata(result, "image_features")["computed"] == 12
    assert {len(row) for row in graph.table("image_features")["features"].to_pylist()} == {1280}


def test_the_extractor_says_what_it_is(published, collection):
    metadata = published.metadata("feature_extractor")
    assert (metadata["architecture"], metadata["input_size"], metadata["features"]) == ("MobileNetV2", 224, 1280)
    assert metadata["parameters"] == 2_257_984
    assert _check(published.check_evaluations).passed == collection.real
