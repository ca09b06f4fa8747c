"""Tests of precisions through the graph: exported once, chosen once, looked at, and never mixed."""

import json
from dataclasses import replace

import pytest

from fruit_assets.assets.features.report import ARITHMETICS
from fruit_assets.extractor import quantization
from fruit_assets.extractor.processor import processor_flags, runs_natively
from fruit_assets.features import comparison
from fruit_assets.resources import resources_for
from fruit_assets.storage.artifacts import read_file, stage_files
from fruit_assets.storage.staging import VersionWriter, republish
from fruit_assets_tests.assets.conftest import Graph
from fruit_assets_tests.conftest import materialised_metadata

UP_TO_FEATURES = ("sampled_images", "feature_extractor", "image_features", "rejected_images")


@pytest.fixture
def int8_graph(graph: Graph, int8_extractor) -> Graph:
    """Twelve images, and an extractor that has its int8 model."""
    folder = resources_folder(graph)
    before = folder.current()
    files = {file.name: file.read_bytes() for file in int8_extractor.iterdir()}
    description = json.loads(files["extractor.json"])
    facts = {**before.facts, "int8": description["quantized"]["fingerprint"]}
    folder.commit(stage_files(files, VersionWriter(folder, "int8")).with_facts(**facts))
    return graph


def resources_folder(graph: Graph):
    return resources_for(graph.settings)["storage"].table("feature_extractor")


def _run(graph: Graph, precision: str, success: bool = True, **config):
    return graph.run(*UP_TO_FEATURES, config={"image_features": {"precision": precision, **config}}, success=success)


def _check(result, name: str):
    [check] = [item for item in result.get_asset_check_evaluations() if item.check_name == name]
    return check


def test_int8_is_compared_with_f32_reused_and_reported(int8_graph, collection):
    result = _run(int8_graph, "int8")
    assert not materialised_metadata(result, "feature_extractor")["exported_by_this_run"]
    assert "calibrated on 300 rendered images" in materialised_metadata(result, "feature_extractor")["int8"]
    reported = materialised_metadata(result, "image_features")
    assert (reported["computed"], reported["precision"], reported["guard/images"]) == (12, "int8", 12)
    assert reported["arithmetic"].startswith("int8 by ")
    assert reported["usd_per_million_images"] > 0
    check = _check(result, "close_to_f32")
    assert check.metadata["mean_cosine"].value == pytest.approx(reported["guard/mean_cosine"], abs=1e-4)
    assert "12 images at int8 and at f32: mean cosine" in check.description
    # Of untrained weights the activations are so small that int8 leaves nothing of them: the guard must notice.
    assert check.passed == collection.real
    assert _check(result, "one_arithmetic").passed

    again = materialised_metadata(_run(int8_graph, "int8"), "image_features")
    assert (again["computed"], again["reused"]) == (0, 12)
    assert again["guard/mean_cosine"] == reported["guard/mean_cosine"]
    f32 = materialised_metadata(_run(int8_graph, "f32"), "image_features")
    assert (f32["computed"], "guard/images" in f32) == (12, False)
    kept = materialised_metadata(_run(int8_graph, "int8"), "image_features")
    assert (kept["computed"], kept["guard/images"]) == (0, 12)


def test_a_guard_that_is_not_content_warns_before_the_work_fails_its_check_and_says_what_to_use(
    int8_graph, monkeypatch, capfd
):
    from fruit_assets.assets.features import precision

    measured = comparison.compare

    def far(*arguments):
        return replace(measured(*arguments), mean_cosine=0.6)

    monkeypatch.setattr(precision, "compare", far)
    check = _check(_run(int8_graph, "int8"), "close_to_f32")
    log = capfd.readouterr().err
    assert "WARNING" in log[: log.index("Too far from f32: mean cosine 0.600")].splitlines()[-1]
    assert log.index("Too far from f32") < log.index("Materialized value image_features")
    assert (check.passed, check.severity.value) == (False, "WARN")
    assert "mean cosine 0.600 is below 0.92" in check.description
    assert "Use precision bf16 or f32" in check.description


def test_auto_settles_on_a_precision_once_and_says_why(int8_graph, collection, monkeypatch):
    from fruit_assets.assets.features import precision

    measured = comparison.compare
    # How fast a dozen images are beside other tests says nothing; all else is as it was measured.
    monkeypatch.setattr(precision, "compare", lambda *arguments: replace(measured(*arguments), speedup=2.0))
    reported = materialised_metadata(_run(int8_graph, "auto"), "image_features")
    native = runs_natively("int8", processor_flags())
    expected = {"int8"} if native and collection.real else {"bf16", "f32"}
    assert reported["precision"] in expected
    because = reported["precision_chosen_because"]
    assert ("int8 was not taken" in because) == (reported["precision"] != "int8")
    assert "guard/images" in reported or reported["precision"] == "f32"
    assert reported["arithmetic"].startswith(f"{reported['precision']} by ")

    again = materialised_metadata(_run(int8_graph, "auto"), "image_features")
    assert (again["computed"], again["precision"]) == (0, reported["precision"])
    assert again["precision_chosen_because"] == reported["precision_chosen_because"]


def test_auto_without_nncf_goes_on_without_int8_and_says_so(graph, monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    result = _run(graph, "auto")
    reported = materialised_metadata(result, "image_features")
    assert reported["precision"] in ("bf16", "f32")
    assert "int8 was not exported, because NNCF is not installed" in reported["precision_chosen_because"]
    logged = [record.user_message for record in graph.instance.all_logs(result.run_id) if record.level >= 30]
    assert any("NNCF is not installed" in text for text in logged)


def test_features_of_another_processor_are_not_mixed_with_these(int8_graph):
    _run(int8_graph, "int8")
    current = int8_graph.current("image_features")
    table = resources_for(int8_graph.settings)["storage"].table("image_features")
    pretended = [
        text.replace("int8 by ", "int8 by avx2 kernels on avx2, not by ") for text in current.facts[ARITHMETICS]
    ]
    current = table.commit(republish(current, VersionWriter(table, "other")).with_facts(**{ARITHMETICS: pretended}))
    source = next(int8_graph.images.rglob("*.jpg"))
    source.with_name("new.jpg").write_bytes(source.read_bytes() + b"\0")
    result = _run(int8_graph, "int8", success=False)
    assert "These round differently" in int8_graph.failure(result)
    assert "`reuse: false`" in int8_graph.failure(result)
    assert int8_graph.current("image_features").number == current.number
    assert materialised_metadata(_run(int8_graph, "int8", reuse=False), "image_features")["computed"] == 13


def test_int8_of_an_extractor_that_has_none_is_refused_when_it_is_not_in_the_run(graph):
    _run(graph, "f32")
    result = graph.run(
        "image_features", "rejected_images", config={"image_features": {"precision": "int8"}}, success=False
    )
    assert "The published extractor has no int8 model. Materialise feature_extractor" in graph.failure(result)


def test_calibrating_on_other_images_exports_the_int8_model_anew_and_nothing_else(int8_graph, collection, tmp_path):
    import shutil

    folder = tmp_path / "calibration" / "fruit"
    folder.mkdir(parents=True)
    for file in sorted(collection.images.rglob("*.jpg"))[:16]:
        shutil.copy(file, folder / f"{file.parent.name} {file.name}")
    config = {"feature_extractor": {"quantize": True, "calibration_images": str(folder.parent)}}
    before = int8_graph.current("feature_extractor")
    result = int8_graph.run("feature_extractor", config=config)
    reported = materialised_metadata(result, "feature_extractor")
    assert reported["exported_by_this_run"]
    assert "16 images of" in reported["int8"]
    after = int8_graph.current("feature_extractor")
    assert read_file(after, "extractor.bin") == read_file(before, "extractor.bin")
    assert read_file(after, "extractor-int8.bin") != read_file(before, "extractor-int8.bin")
    again = materialised_metadata(int8_graph.run("feature_extractor", config=config), "feature_extractor")
    assert not again["exported_by_this_run"]
