"""The benchmarks of scale: their images differ in what they show, and their figures are those of the run.

Put here what must hold before an hour of measuring is worth anything. No speed is asserted.
"""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fruit_assets_tests.benchmarks import million_images, report, yarn_scaling
from fruit_assets_tests.benchmarks.image_set import Source
from fruit_assets_tests.benchmarks.memory_watch import DRIVER, EXPORT, WORKER, Memory, Sample, kind_of
from fruit_assets_tests.benchmarks.run_log import Step
from fruit_assets_tests.benchmarks.scaling.over_time import StoredRows, draw, growth
from fruit_assets_tests.benchmarks.scaling.perturbed_images import make_perturbed_images, pixels_digest


@pytest.fixture
def fruit(tmp_path):
    """A collection of three photographs with two labels."""
    random = np.random.default_rng(0)
    for number in range(3):
        file = tmp_path / "fruit" / "Training" / ("Apple 1", "Pear")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (50, 60, 3), np.uint8)).save(file)
    return Source(tmp_path / "fruit", "random")


def stored(seconds, rows):
    return StoredRows(np.asarray(seconds, float), np.asarray(rows))


def memory_of(kind, sizes):
    return Memory([Sample(float(second), {kind: [size // 2, size]}) for second, size in enumerate(sizes)])


def test_images_made_of_few_photographs_all_show_something_else(fruit, tmp_path):
    assert make_perturbed_images(fruit, 40, tmp_path / "made") == 40
    files = sorted((tmp_path / "made").rglob("*.jpg"))
    assert len({pixels_digest(file.read_bytes()) for file in files}) == len(files) == 40
    assert {file.parent.relative_to(tmp_path / "made").as_posix() for file in files} == {
        "Training/Apple 1",
        "Training/Pear",
    }
    assert all(max(Image.open(file).size) >= 48 for file in files)


def test_the_same_seed_makes_the_same_images(fruit, tmp_path):
    def made(name, seed):
        make_perturbed_images(fruit, 6, tmp_path / name, seed)
        return {file.name: file.read_bytes() for file in (tmp_path / name).rglob("*.jpg")}

    assert made("one", 1) == made("again", 1)
    assert not set(made("one", 1).values()) & set(made("other", 2).values())


def test_the_digest_of_an_image_follows_its_pixels_not_its_bytes(fruit):
    first, second, *_ = (file.read_bytes() for file in fruit.files())
    commented = first[:2] + b"\xff\xfe\x00\x05abc" + first[2:]
    assert pixels_digest(commented) == pixels_digest(first) != pixels_digest(second)


def test_rows_over_time_are_those_of_the_files_that_a_table_holds(tmp_path):
    for name, rows, time in (("data/b.parquet", 5, 1020), ("data/a.parquet", 3, 1010), ("_delta_log/c.parquet", 7, 1)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"path": ["x"] * rows}), tmp_path / name)
        os.utime(tmp_path / name, (time, time))
    found = StoredRows.of(tmp_path)
    assert (found.seconds.tolist(), found.rows.tolist()) == ([1010, 1020], [3, 5])
    times, rates = found.rates(1000, bins=2)
    assert (times.tolist(), rates.tolist()) == ([1005, 1015], [0.0, 0.8])
    assert found.rates(1005)[1].sum() * 15 / 50 == pytest.approx(8)


def test_steadiness_is_the_speed_of_the_second_half_over_that_of_the_first():
    assert stored(range(100), [7] * 100).steadiness() == pytest.approx(1.0)
    slowing = np.concatenate([np.arange(100), 100 + 2 * np.arange(100)])
    assert stored(slowing, [7] * 200).steadiness() == pytest.approx(0.5, rel=0.01)


def test_growth_is_that_of_the_largest_process_between_two_times():
    sizes = [10_000, *range(1000, 1101)]
    assert growth(memory_of(WORKER, sizes), WORKER, 1.0, 101.0) == pytest.approx(1.1)
    assert growth(memory_of(DRIVER, [500] * 30), DRIVER, 0.0, 29.0) == pytest.approx(1.0)


def test_a_run_is_drawn_with_its_title_its_table_and_its_processes(tmp_path):
    steps = [Step("sampled_images", 1000.0, 1002.0), Step("image_features", 1002.0, 1010.0)]
    rows = stored([1004, 1006, 1008], [5, 5, 5])
    memory = memory_of(WORKER, [2**20] * 10)
    for name in ("one.svg", "again.svg"):
        draw(tmp_path / name, "fifteen images", 1000.0, steps, "image_features", rows, memory)
    text = (tmp_path / "one.svg").read_text()
    assert all(f">{shown}<" in text for shown in ("fifteen images", "image_features", WORKER, "images per second"))


def test_a_disk_that_is_too_small_for_the_images_is_named_before_any_is_made(tmp_path):
    with pytest.raises(SystemExit, match=f"{tmp_path}.*TMPDIR"):
        million_images._require_disk(tmp_path, 10**12)
    million_images._require_disk(tmp_path, 1)


def test_processes_that_export_models_are_a_kind_of_their_own():
    assert kind_of(["python", "-m", "fruit_assets.extractor.export", "{}", "/tmp/x"]) == EXPORT
    assert kind_of(["python", "-m", "pyspark.daemon", "fruit_assets.extractor"]) == WORKER


def test_efficiency_on_yarn_is_the_time_of_one_over_twice_that_of_two(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "ARTEFACTS", tmp_path)

    def on_yarn(first, again, core_seconds):
        return {yarn_scaling._FIRST: first, yarn_scaling._AGAIN: again, yarn_scaling._BUSY: core_seconds}

    results = {
        "YARN 1": [on_yarn(12.0, 10.0, 9.0), on_yarn(99.0, 99.0, 99.0), on_yarn(12.0, 10.0, 9.0)],
        "YARN 2": [on_yarn(8.0, 5.0, 9.0)],
        "plain 1": [{yarn_scaling._BARE: 8.0}],
        "plain 2": [{yarn_scaling._BARE: 5.0}],
    }
    made = report.Report("yarn_scaling", {})
    yarn_scaling._tell(made, 1000, results)
    ratios = {ratio["what"]: ratio["value"] for ratio in json.loads(made.save().read_text())["ratios"]}
    assert [round(value, 3) for value in ratios.values()] == [0.75, 1.0, 0.8, 1.25, 1.0, 0.1]
