"""The benchmarks' machinery at its smallest size, so that they run on the day they are needed.

Put here what must hold of any measurement: contenders do the same work, and figures are those of the run. No
speed is asserted: only that the parts of a timeline add up to its whole.
"""

import io
import json
import sys
import time
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from fruit_assets_tests.benchmarks import accuracy_per_second, report, startup, worker_profile
from fruit_assets_tests.benchmarks.__main__ import NAMES, benchmark, main
from fruit_assets_tests.benchmarks.cold_process import ColdProcessFailed, environment, run_cold
from fruit_assets_tests.benchmarks.feature_rows import write_feature_rows
from fruit_assets_tests.benchmarks.image_set import Source, make_image_set
from fruit_assets_tests.benchmarks.memory_watch import DRIVER, OTHER, resident
from fruit_assets_tests.benchmarks.new_images import link_image_set
from fruit_assets_tests.benchmarks.pca_contenders import fit_ml, fit_ours
from fruit_assets_tests.benchmarks.run_log import read_run_log

pytestmark = pytest.mark.long(30)


@pytest.fixture
def artefacts(tmp_path, monkeypatch):
    """Where a benchmark writes here, so that it does not replace the figures of a real run."""
    monkeypatch.setattr(report, "ARTEFACTS", tmp_path / "artefacts")
    return tmp_path / "artefacts"


@pytest.fixture
def fruit(tmp_path):
    """A collection of four small photographs with two labels."""
    random = np.random.default_rng(0)
    for number in range(4):
        file = tmp_path / "fruit" / "Training" / ("Apple", "Pear")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(file)
    return tmp_path / "fruit"


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_takes_the_options_of_its_full_size(name):
    module = benchmark(name)
    assert module.FULL
    for options in module.FULL:
        module.parser().parse_args(options)


def test_the_list_says_what_each_benchmark_is_about(capsys):
    main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert all(len(line.split()) > 5 for line in lines)


def test_an_image_set_holds_the_same_pictures_in_distinct_bytes(fruit, tmp_path):
    made = make_image_set(Source(fruit, "random"), 10, tmp_path / "set")
    files = sorted(made.rglob("*.jpg"))
    contents = [file.read_bytes() for file in files]
    assert len(set(contents)) == 10
    assert {file.parent.name for file in files} == {"Apple", "Pear"}
    pixels = {np.asarray(Image.open(io.BytesIO(content))).tobytes() for content in contents}
    assert len(pixels) == 4


def test_a_small_image_set_is_spread_over_the_collection(fruit, tmp_path):
    made = make_image_set(Source(fruit, "random"), 2, tmp_path / "set")
    assert sorted(file.parent.name for file in made.rglob("*.jpg")) == ["Apple", "Pear"]


def test_a_collection_of_hard_links_has_all_its_files_and_the_bytes_of_few(fruit, tmp_path):
    made = link_image_set(Source(fruit, "random"), 50, tmp_path / "set", tmp_path / "originals")
    files = list(made.rglob("*.jpg"))
    assert len(files) == 50
    assert len({file.stat().st_ino for file in files}) == len(list(fruit.rglob("*.jpg"))) < 50
    assert {file.parent.name for file in files} == {"Apple", "Pear"}


def test_memory_of_a_cold_process_and_of_its_children_is_seen(tmp_path):
    seen = tmp_path / "seen"
    child = f"import os, time; held = bytearray(151 * 2**20)\nwhile not os.path.exists({str(seen)!r}): time.sleep(0.05)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"

    def size_of(process):
        size = resident(process)
        if size > 150 * 2**20:
            seen.touch()
        return size

    memory = run_cold(
        [sys.executable, "-c", code], tmp_path, environment(), interval=0.1, size_of=size_of, patience=300
    ).memory
    assert memory.peak(OTHER) > 150 * 2**20 > memory.peak(DRIVER) > 0
    assert memory.peak_of_tree >= memory.peak(OTHER) + 2**20


def test_a_cold_process_does_not_see_the_settings_of_this_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("FRUIT_ASSETS_STORAGE", "/elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    reported = run_cold(
        [sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"], tmp_path, environment(A="b")
    )
    seen = json.loads(reported.output)
    assert seen["A"] == "b"
    assert not {"FRUIT_ASSETS_STORAGE", "OMP_NUM_THREADS"} & set(seen)


def test_a_contender_that_fails_ends_the_benchmark_with_its_log(tmp_path):
    with pytest.raises(ColdProcessFailed, match="no such fruit"):
        run_cold([sys.executable, "-c", "raise SystemExit('no such fruit')"], tmp_path, environment())


def test_a_process_that_takes_longer_than_the_patience_is_stopped_and_says_so(tmp_path):
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    run = run_cold([sys.executable, "-c", code], tmp_path, environment(), patience=1.0)
    assert not run.ended
    assert run_cold([sys.executable, "-c", ""], tmp_path, environment(), patience=100.0).ended


def test_a_timeline_adds_up_to_the_seconds_of_the_run(tmp_path):
    @dg.asset
    def pears():
        time.sleep(0.2)
        return dg.MaterializeResult(metadata={"seconds/peeling": 0.2})

    began = time.time() - 1
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        dg.materialize([pears], instance=instance)
    log = read_run_log(tmp_path)
    assert log.phases("pears") == {"peeling": 0.2}
    process = SimpleNamespace(started_at=began, memory=SimpleNamespace(samples=[]))
    run = SimpleNamespace(process=process, log=log, seconds=log.ended - began + 0.5)
    rows = startup.timeline(run)
    top_level = [seconds for name, seconds, _ in rows if not name.startswith(".")]
    assert sum(top_level) == pytest.approx(run.seconds)
    assert all(seconds >= -0.01 for seconds in top_level)


def test_both_pca_contenders_explain_the_same_variance(spark, tmp_path):
    rows = write_feature_rows(300, tmp_path / "rows", width=100)
    assert fit_ours(spark, rows) == pytest.approx(fit_ml(spark, rows), rel=1e-6)


def test_the_startup_benchmark_writes_its_ratio(artefacts):
    startup.main(["--repeats", "1", "--images", "0"])
    written = json.loads((artefacts / "benchmark-startup.json").read_text())
    assert written["ratios"][0]["value"] > 0
    assert written["machine"]["cores"] >= 1


def test_the_accuracy_benchmark_measures_each_size_and_precision(artefacts, fruit):
    options = ["--images", "4", "--sizes", "96", "--precisions", "f32", "--weights", "random"]
    accuracy_per_second.main([*options, "--collection", str(fruit)])
    written = json.loads((artefacts / "benchmark-accuracy_per_second.json").read_text())
    rows = written["tables"]["Accuracy per second"]
    assert [(row["input size"], row["precision"]) for row in rows] == [("96", "f32")]
    assert float(rows[0]["images/s"]) > 0


def test_the_worker_profile_shows_parts_that_fit_into_the_whole(artefacts, fruit):
    # Medians of nine: what other processes do to one of them does not show.
    worker_profile.main(
        ["--images", "4", "--repeats", "9", "--precisions", "f32", "--weights", "random", "--collection", str(fruit)]
    )
    reported = json.loads((artefacts / "benchmark-worker_profile.json").read_text())["details"]["microseconds"]
    # Each is measured for itself, on four images, beside other tests: of the same size is all that can be asked.
    assert 0 < reported["f32 inference"] < 3 * reported[f"f32 {worker_profile.WHOLE}"]
    parts = ("JPEG decoding (libjpeg-turbo)", "bicubic resize, into the batch")
    assert all(0 < reported[part] < 3 * reported[f"f32 {worker_profile.WHOLE}"] for part in parts)


def test_1_nn_accuracy_counts_images_whose_nearest_other_has_their_label():
    features = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0], [0.0, 5.0]])
    assert accuracy_per_second.one_nn_accuracy(features, ["a", "a", "b", "b", "c"]) == pytest.approx(0.6)


def test_planning_finds_the_new_images_of_a_made_up_collection(artefacts, tmp_path):
    planning = benchmark("planning")
    planning.main(["--images", "3000", "--phase", "prepare", "--folder", str(tmp_path)])
    planning.main(["--images", "3000", "--phase", "plan", "--folder", str(tmp_path)])
    report = json.loads((artefacts / "benchmark-planning.json").read_text())
    # 3 images of each of 1,000 classes, all of which 0.9 takes.
    assert report["details"]["kept"] == 2900
