"""The comparison with the peers, without the peers: what is compared, what is reported, what is left out.

Put here what must hold before hours of measuring are worth anything. That the peers themselves run takes their
environment: `make bench-peers BENCH="--images 200"`.
"""

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from fruit_assets.storage import read_current
from fruit_assets_tests.benchmarks import against_peers
from fruit_assets_tests.benchmarks.cold_process import PROJECT, environment, run_cold
from fruit_assets_tests.benchmarks.memory_watch import proportional, resident
from fruit_assets_tests.benchmarks.peers import on_duckdb, on_processes, on_shards, table
from fruit_assets_tests.benchmarks.peers.agreement import Agreement, DifferentImages, Reference
from fruit_assets_tests.benchmarks.peers.contenders import Course, Failed, Measured, contenders
from fruit_assets_tests.benchmarks.peers.job import PeerJob, features_of, path_and_label, rows, write_components
from fruit_assets_tests.benchmarks.peers.on_ray import blocks
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

PATHS = ["Training/Apple 1/a.jpg", "Training/Pear/b.jpg", "Test/Pear/c.jpg"]
# Pinned otherwise for Daft's sake: see requirements.in.
OTHERWISE_PINNED = {"pyarrow", "tqdm"}


@pytest.fixture
def reference():
    """Keras' features of two of three images."""
    return Reference(Path("/set"), frozenset(PATHS), PATHS[:2], np.array([[1.0, 0.0], [0.0, 2.0]], np.float32))


def rows_of(paths, features):
    return rows(paths, [""] * len(paths), np.asarray(features, np.float32))


def measured(seconds):
    return Measured(seconds, 2**30, Agreement(256, 2e-5, 1.0))


def pins(file):
    found = re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (PROJECT / file).read_text(), re.MULTILINE)
    return dict(found)


def test_the_peers_run_on_the_same_versions_as_the_project():
    ours, theirs = pins("requirements.lock"), pins("fruit_assets_tests/benchmarks/peers/requirements.txt")
    shared = (ours.keys() & theirs.keys()) - OTHERWISE_PINNED
    assert shared >= {"numpy", "openvino", "pandas", "pillow", "scikit-learn"}
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}
    assert {"ray", "daft", "duckdb", "onnxruntime"} <= theirs.keys()


def test_features_in_any_order_and_under_any_name_of_a_file_agree(reference):
    names = [f"file:/set/{PATHS[1]}", f"/set/{PATHS[2]}", PATHS[0]]
    agreement = reference.agreement(rows_of(names, [[0.0, 2.0], [7.0, 7.0], [1.0, 0.0]]))
    assert agreement == Agreement(2, 0.0, pytest.approx(1.0))


def test_disagreement_is_the_largest_difference_and_the_mean_cosine(reference):
    agreement = reference.agreement(rows_of(PATHS, [[0.0, 1.0], [0.0, 2.5], [0.0, 0.0]]))
    assert agreement.largest_difference == pytest.approx(1.0)
    assert agreement.mean_cosine == pytest.approx(0.5)


@pytest.mark.parametrize("paths", [PATHS[:2], [*PATHS, PATHS[0]], [PATHS[0], PATHS[1], PATHS[1]]])
def test_a_contender_that_did_not_do_each_image_once_is_refused(reference, paths):
    with pytest.raises(DifferentImages):
        reference.agreement(rows_of(paths, np.zeros((len(paths), 2))))


@pytest.mark.parametrize(
    "file", ["/a set/x/Apple 1/1.jpg", "file:///a set/x/Apple 1/1.jpg", "file:/a set/x/Apple 1/1.jpg"]
)
def test_a_peer_names_images_by_their_path_in_the_set(file):
    assert path_and_label(Path("/a set"), file) == ("x/Apple 1/1.jpg", "Apple 1")


def test_components_of_a_peer_are_those_of_its_standardised_features(tmp_path):
    features = np.random.default_rng(0).standard_normal((30, 12)).astype(np.float32)
    job = PeerJob(tmp_path, tmp_path / "out", "", 3, "f32", 1, None)
    job.features_folder.mkdir(parents=True)
    for number, part in enumerate((slice(0, 20), slice(20, 30))):
        names = [f"{row:02}" for row in range(30)[part]]
        pq.write_table(rows(names, names, features[part]), job.features_folder / f"{number}.parquet")
    write_components(job)
    written = pq.read_table(job.out / "components").sort_by("path")
    expected = PCA(3).fit_transform(StandardScaler().fit_transform(features.astype(np.float64)))
    found = features_of(written.column("pca_features"))
    assert written.column("label").to_pylist() == [f"{row:02}" for row in range(30)]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_the_peers_compute_the_features_that_we_publish(published, extractor_folder, collection):
    ours = read_current(str(published.storage / "image_features"), ["path", "features"]).slice(0, 9)
    model = extractor_folder / "extractor.xml"
    contents = [(collection.images / path).read_bytes() for path in ours.column("path").to_pylist()]
    theirs = PlainExtractor(str(model), "f32").features(contents)
    np.testing.assert_allclose(theirs, features_of(ours.column("features")), atol=1e-3)


@given(images=st.integers(1, 100_000), workers=st.integers(1, 64))
def test_ray_reads_in_blocks_that_hold_images_and_occupy_all_workers(images, workers):
    count = blocks(images, workers)
    assert min(images, workers) <= count <= images


def test_memory_that_processes_share_counts_once(tmp_path):
    def peak(size_of):
        seen, large = tmp_path / size_of.__name__, set()

        def until_both_are_seen(process):
            size = size_of(process)
            if size > 70 * 2**20:
                large.add(process.pid)
            if len(large) == 2:
                seen.touch()
            return size

        code = (
            "import os, time; held = bytearray(os.urandom(2**20)) * 150; os.fork()\n"
            f"while not os.path.exists({str(seen)!r}): time.sleep(0.05)"
        )
        command = [sys.executable, "-c", code]
        run = run_cold(command, tmp_path, environment(), interval=0.1, size_of=until_both_are_seen, patience=300)
        return run.memory.peak_of_tree

    peaks = [peak(size_of) for size_of in (resident, proportional)]
    assert peaks[0] > 300 * 2**20 > 200 * 2**20 > peaks[1] > 150 * 2**20


def test_a_peer_that_fails_is_reported_and_the_others_still_run(tmp_path, reference):
    course = Course(
        tmp_path, 3, SimpleNamespace(weights="random"), tmp_path / "x.xml", reference, sys.executable, tmp_path
    )
    everybody = contenders(course, None, ["f32", "bf16"], [])
    failed = everybody["ray-f32"]()  # no Ray in this environment
    assert isinstance(failed, Failed)
    assert "ray" in failed.reason
    programs = ["spark", "ray", "daft", "shards", "processes", "duckdb"]
    f32, bf16 = ([f"{program}-{precision}" for program in programs] for precision in ("f32", "bf16"))
    # ONNX Runtime has no bf16.
    assert list(everybody) == ["notebook-f32", "spark-keras-f32", *f32, "onnx-f32", *bf16]


def test_a_contender_is_left_out_of_the_sizes_above_its_most():
    everybody = {"notebook-f32": 1, "ours-f32": 2, "ours-int8": 3}
    assert against_peers.within({"notebook": 5000}, 5000, everybody) == everybody
    assert against_peers.within({"notebook": 5000, "ours-int8": 0}, 50000, everybody) == {"ours-f32": 2}
    with pytest.raises(SystemExit, match="no contender is called notbook"):
        against_peers.within({"notbook": 5000}, 1000, everybody)


def test_the_table_shows_what_was_not_run_and_what_failed_without_a_figure():
    outcomes = {
        "notebook-f32": [measured(400.0)],
        "ray-f32": [measured(10.0), measured(30.0), measured(20.0)],
        "ray-int8": [measured(9.0), Failed("out of memory")],
    }
    assert table.rows(1000, outcomes) == [
        ["the notebook's method", "400.0 s, 2.5/s", "not run", "not run", "1.0 GiB", "1.0000"],
        ["Ray Data, OpenVINO", "20.0 s, 50/s", "not run", "failed", "1.0 GiB", "1.0000"],
        ["fastest peer / ours", "not run", "not run", "not run", "", ""],
    ]
    assert {len(row) for row in table.rows(1000, outcomes)} == {len(table.columns())}


def test_ours_is_held_against_the_fastest_peer_at_its_own_precision():
    seconds = {
        "ray-f32": 60.0,
        "processes-f32": 40.0,
        "daft-bf16": 30.0,
        "ours-f32": 20.0,
        "ours-export-f32": 10.0,
        "ours-bf16": 30.0,
        "ours-int8": 10.0,
    }
    runs = {name: [measured(each)] for name, each in seconds.items()}
    ratios = table.ratios({5000: runs, 50_000: runs, 100: runs})
    # No peer was measured at int8: there is no ratio, rather than one of int8 to f32.
    assert [(ratio.value, ratio.target) for ratio in ratios] == [
        (2.0, 1.0),
        (1.0, 1.0),
        (2.0, 1.25),
        (1.0, 1.25),
        (2.0, None),
        (1.0, None),
    ]
    assert ratios[0].what == "5,000 images, f32: pool of processes, OpenVINO / ours"
    assert table.rows(5000, runs)[-1] == ["fastest peer / ours", "2.00", "1.00", "not run", "", ""]


@pytest.mark.parametrize("program", [on_processes, on_shards, on_duckdb], ids=["processes", "shards", "duckdb"])
def test_a_peer_that_needs_no_package_of_its_own_gives_every_image_the_features_that_we_publish(
    published, extractor_folder, collection, tmp_path, program
):
    ours = read_current(str(published.storage / "image_features"), ["path", "features"]).slice(0, 20).sort_by("path")
    images, out = tmp_path / "images", tmp_path / "out"
    for path in ours["path"].to_pylist():
        (images / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(collection.images / path, images / path)
    command = [sys.executable, "-m", program.__name__, str(images), str(out), "--workers", "2", "--components", "3"]
    run_cold([*command, "--network", str(extractor_folder / "extractor.xml")], tmp_path, environment())
    table_of = getattr(program, "read_table", lambda folder: pq.read_table(folder / "features"))
    theirs = table_of(out).sort_by("path")
    assert theirs["path"].to_pylist() == ours["path"].to_pylist()
    np.testing.assert_allclose(features_of(theirs["features"]), features_of(ours["features"]), atol=1e-3)
    assert set(pq.read_table(out / "components").column("path").to_pylist()) == set(ours["path"].to_pylist())


def test_without_the_peers_environment_the_benchmark_says_how_to_get_it(tmp_path, capsys):
    with pytest.raises(SystemExit):
        against_peers.main(["--peers-python", str(tmp_path / "python")])
    assert "make bench-peers" in capsys.readouterr().err
