"""Tests of featurising through the graph: nothing is computed twice, and nothing is lost."""

import numpy as np
import pytest

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets_tests.assets.conftest import Graph, copy_some
from fruit_assets_tests.conftest import materialised_metadata
from fruit_assets_tests.images import odd_images

pytestmark = pytest.mark.long(50)


def _features(graph: Graph) -> dict[str, np.ndarray]:
    table = graph.table("image_features")
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


def _counts(metadata) -> tuple[int, int]:
    return metadata["computed"], metadata["reused"]


def test_a_run_computes_only_what_is_new(graph):
    assert _counts(graph.featurize()) == (12, 0)
    first, version = _features(graph), graph.current("image_features")

    again = graph.featurize()
    assert _counts(again) == (0, 12)
    assert again["images_per_second"] == 0
    assert not again["committed_by_this_run"]
    assert graph.current("image_features") == version

    added, changed, deleted = sorted(graph.images.rglob("*.jpg"))[:3]
    source = sorted(graph.images.rglob("*.jpg"))[-1]
    changed.write_bytes(changed.read_bytes() + b"\0")
    deleted.unlink()
    new = added.with_name("é new #1.JPG")
    new.write_bytes(source.read_bytes() + b"\0\0")
    assert _counts(graph.featurize()) == (2, 10)
    third = _features(graph)
    relative = {
        name: path.relative_to(graph.images).as_posix() for name, path in locals().items() if hasattr(path, "suffix")
    }
    assert set(third) == set(first) - {relative["deleted"]} | {relative["new"]}
    for path in set(third) & set(first):
        assert np.array_equal(third[path], first[path]), path
    sample = graph.table("sampled_images")
    assert (
        graph.table("image_features")
        .select(["path", "label", "sha256"])
        .equals(sample.select(["path", "label", "sha256"]))
    )

    changed_rows = graph.featurize()
    assert _counts(changed_rows) == (0, 12)


def test_added_images_leave_the_files_of_features_as_they_are(graph):
    graph.featurize()
    before = {file.path for file in graph.current("image_features").files}
    image = next(graph.images.rglob("*.jpg"))
    image.with_name("another.jpg").write_bytes(image.read_bytes() + b"\0")
    assert _counts(graph.featurize()) == (1, 12)
    after = graph.current("image_features").files
    assert before < {file.path for file in after}
    assert sum(file.rows for file in after if file.path not in before) == 1


def test_deleting_an_image_needs_no_inference(graph):
    graph.featurize()
    next(graph.images.rglob("*.jpg")).unlink()
    assert _counts(graph.featurize()) == (0, 11)
    assert graph.table("image_features").num_rows == 11


def test_identical_files_are_inferred_once_and_each_is_a_row(graph):
    one, other, *_ = sorted(graph.images.rglob("*.jpg"))
    for number in range(5):
        (one.parent / f"copy{number}.jpg").write_bytes(one.read_bytes())
    (graph.images / "elsewhere").mkdir()
    (graph.images / "elsewhere" / "copy.jpg").write_bytes(other.read_bytes())
    metadata = graph.featurize()
    assert (metadata["computed"], metadata["identical_files"]) == (12, 6)
    table = graph.table("image_features")
    assert table.num_rows == 18
    features = _features(graph)
    name = one.relative_to(graph.images).as_posix()
    assert all(np.array_equal(features[name.replace(one.name, f"copy{n}.jpg")], features[name]) for n in range(5))
    assert "elsewhere" in table["label"].to_pylist()


def test_a_moved_collection_gives_the_same_rows_without_inference(graph, make_graph, tmp_path):
    graph.featurize()
    before = graph.table("image_features")
    graph.images.rename(tmp_path / "moved é")
    moved = make_graph(images=tmp_path / "moved é")
    assert _counts(moved.featurize()) == (0, 12)
    assert moved.table("image_features").equals(before)


def test_another_precision_computes_again_and_the_first_comes_back_from_its_old_version(graph):
    graph.featurize()
    first = _features(graph)
    assert _counts(graph.featurize(precision="bf16")) == (12, 0)
    assert _counts(graph.featurize(precision="bf16")) == (0, 12)
    assert _counts(graph.featurize()) == (0, 12)
    assert all(np.array_equal(value, first[path]) for path, value in _features(graph).items())


def test_reuse_can_be_refused(graph):
    graph.featurize()
    assert _counts(graph.featurize(reuse=False)) == (12, 0)


def _write_odd_and_broken(graph: Graph) -> tuple[set[str], dict[str, str]]:
    good = {**odd_images.same_as_keras(), **odd_images.sixteen_bit()}
    bad = odd_images.broken()
    folder = graph.images / "Pêche = 50% #1 [a]{b}"
    folder.mkdir()
    for name, content in {**good, **{name: content for name, (content, _) in bad.items()}}.items():
        (folder / name).write_bytes(content)
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "notes.txt").write_text("no image")
    reasons = {f"{folder.name}/{name}": reason for name, (_, reason) in bad.items()}
    reasons[f"{folder.name}/dangling.jpg"] = "could not be read"
    return {f"{folder.name}/{name}" for name in good}, reasons


def test_odd_images_are_featurised_and_broken_ones_rejected_with_their_reason(graph):
    good, reasons = _write_odd_and_broken(graph)
    result = graph.run()
    sampled, featurised, rejected = (
        graph.table(name) for name in ("sampled_images", "image_features", "rejected_images")
    )
    assert sampled.num_rows == featurised.num_rows + rejected.num_rows == 12 + len(good) + len(reasons)
    assert good <= set(featurised["path"].to_pylist())
    reported = dict(zip(rejected["path"].to_pylist(), rejected["reason"].to_pylist(), strict=True))
    assert reported.keys() == reasons.keys()
    for path, reason in reasons.items():
        assert reason in reported[path], path
    assert set(sampled["path"].to_pylist()) == set(featurised["path"].to_pylist()) | set(reported)
    assert graph.table("pca_components").num_rows == featurised.num_rows
    checks = {
        check.check_name: check
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path == ["image_features"]
    }
    assert checks["rows_reconcile"].passed
    assert not checks["few_rejected"].passed

    metadata = graph.featurize()
    assert _counts(metadata) == (0, featurised.num_rows)
    assert graph.table("rejected_images").equals(rejected)
    (graph.images / "zz.d").mkdir()
    (graph.images / "zz.d" / "new.png").write_bytes(odd_images.same_as_keras()["thin.png"] + b"\0")
    assert _counts(graph.featurize()) == (1, featurised.num_rows)
    assert graph.table("rejected_images").equals(rejected)


def test_nothing_but_broken_images_is_published_as_rejected_where_that_is_allowed_and_then_stops(graph):
    graph.featurize()
    for path in graph.images.rglob("*.jpg"):
        path.write_bytes(b"not an image " + path.name.encode())
    result = graph.run(config={"image_features": {"max_rejected_share": 1.0}}, success=False)
    assert "every sampled image was rejected" in graph.failure(result)
    assert graph.table("rejected_images").num_rows == 12
    assert graph.table("image_features").num_rows == 0
    # The features of the run before are still there for the next good run.
    assert materialised_metadata(result, "image_features")["computed"] == 0


def test_metadata_says_how_fast_and_by_what(published, collection):
    metadata = published.metadata("image_features")
    assert metadata["dagster/row_count"] == collection.image_count
    assert metadata["images_per_second"] > 0
    assert metadata["worker_seconds/inference"] > 0
    assert 0 < metadata["longest_seconds_per_file"] < metadata["seconds/featurizing"]
    assert metadata["features_fingerprint"] == f"{published.metadata('feature_extractor')['fingerprint']}-f32"
    assert published.metadata("rejected_images")["rejected_share"] == pytest.approx(0)


def test_a_collection_that_cannot_be_read_replaces_nothing_and_names_the_commonest_cause(graph):
    graph.run()
    pointers = {name: graph.current(name).number for name in ("image_features", "rejected_images")}
    paths = sorted(path for path in graph.images.rglob("*") if path.is_file())
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for path in paths[:7]:
        path.write_bytes(pointer)
    failure = graph.failure(graph.run(success=False))
    assert "mostly_readable: 7 of 12 images were rejected; 50% are allowed. The commonest cause, 7 times:" in failure
    assert f"such as {paths[0].relative_to(graph.images).as_posix()}" in failure
    assert {name: graph.current(name).number for name in pointers} == pointers
    graph.run(config={"image_features": {"max_rejected_share": 0.6}})
    assert graph.table("image_features").num_rows == 5


def test_images_that_may_not_be_opened_replace_no_sample_and_the_cause_is_named(graph):
    graph.run("sampled_images")
    before = graph.current("sampled_images").number
    for path in sorted(path for path in graph.images.rglob("*") if path.is_file())[:7]:
        path.unlink()
        path.symlink_to(path)  # opening it fails for every user
    failure = graph.failure(graph.run("sampled_images", success=False))
    assert "7 of 12 images of " in failure
    assert (
        "The commonest cause, 7 times among 7 that were looked into: Too many levels of symbolic links, such as"
        in failure
    )
    assert graph.current("sampled_images").number == before


@pytest.mark.parametrize("asset", ["sampled_images", "image_features"])
def test_max_rejected_share_of_either_asset_holds_for_fetching_and_for_decoding(make_graph, collection, asset):
    graph = make_graph()
    copy_some(collection, graph.images, classes=2, per_class=3)
    gone, *broken = sorted(graph.images.rglob("*.jpg"))[:4]
    gone.unlink()
    gone.symlink_to(gone)
    for path in broken:
        path.write_bytes(b"not an image")
    features = "image_features", "rejected_images"
    made = "sampled_images", "feature_extractor", *features
    failure = graph.failure(graph.run(*made, config={asset: {"max_rejected_share": 0.1}}, success=False))
    assert "1 of 6 images of " in failure
    assert "cannot be read; 10% may be." in failure
    graph.run(*made, config={asset: {"max_rejected_share": 0.7}})
    assert graph.table("image_features").num_rows == 2
    # A later run of the features alone keeps to the sample's.
    graph.run(*features, config={"image_features": {"reuse": False}})
    failure = graph.failure(graph.run(*features, config={"image_features": {"max_rejected_share": 0.6}}, success=False))
    assert "4 of 6 images were rejected; 60% are allowed." in failure


@pytest.mark.parametrize(("classes", "per_class"), [(1, 2), (2, 1), (3, 1)])
def test_the_defaults_fit_every_collection_of_two_images_and_more(make_graph, collection, classes, per_class):
    graph = make_graph()
    copy_some(collection, graph.images, classes=classes, per_class=per_class)
    result = graph.run(config={"sampled_images": {}, "pca_model": {}})
    possible = classes * per_class - 1
    assert graph.current("pca_components").facts["n_components"] == possible
    assert graph.table("pca_components").num_rows == possible + 1
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["enough_images"].passed
    assert f"{possible} components are kept, {possible} are possible. The default is 80" in (
        checks["enough_images"].description
    )
