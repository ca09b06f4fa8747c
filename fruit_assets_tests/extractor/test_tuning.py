"""Tests of the tuning: it finds the fastest, keeps it for this machine, and does not show in the features."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fruit_assets.extractor import tuning
from fruit_assets.extractor.engines import LoadedEngine, load_engine
from fruit_assets.extractor.processor import ExecutionProfile
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.extractor.tuning import CANDIDATES, TuningEngine, TuningFile, load_tuned
from fruit_assets.features.inference_worker import FeaturizationOptions, worker_engine
from fruit_assets.resources import resources_for

AVX512, AMX = (ExecutionProfile("bf16", kernels, ("avx512f",)) for kernels in ("avx512", "avx512_amx"))
PIXELS = np.arange(200, dtype=np.uint8)[:, None]


class Clock:
    """Stands for the time that an engine takes: seconds per image by its batch sizes."""

    def __init__(self, costs, kernels=None):
        self.now, self.costs, self.kernels, self.loaded = 0.0, costs, kernels or {}, []

    def perf_counter(self) -> float:
        return self.now

    def load(self, sizes) -> LoadedEngine:
        self.loaded.append(sizes)

        def infer(pixels):
            self.now += len(pixels) * self.costs[sizes]
            return pixels.astype(np.float32)

        return LoadedEngine(infer, self.kernels.get(sizes, AVX512), sizes)


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    def make(costs, kernels=None):
        clock = Clock(costs, kernels)
        monkeypatch.setattr(tuning, "time", clock)
        return load_tuned(clock.load, "bf16", TuningFile(tmp_path, "some-bf16")), clock

    return make


COSTS = {(1,): 0.004, (2,): 0.002, (1, 16): 0.003, (4,): 0.005}


def test_the_fastest_is_taken_kept_and_used_from_the_start_the_next_time(tuned, tmp_path):
    engine, clock = tuned(COSTS)
    assert np.array_equal(engine(PIXELS), PIXELS)
    assert engine.batching == "2 images at once"
    assert sorted(clock.loaded) == sorted(COSTS)
    [file] = (tmp_path / "tuning").iterdir()
    assert json.loads(file.read_text())["images_per_second"]["2 images at once"] == 500

    again, clock = tuned(COSTS)
    assert (again.batch_sizes, clock.loaded) == ((2,), [(2,)])


def test_few_images_run_with_the_default_and_settle_nothing(tuned, tmp_path):
    engine, clock = tuned(COSTS)
    assert np.array_equal(engine(PIXELS[:15]), PIXELS[:15])
    assert engine(PIXELS[:0]).shape == (0, 1)
    assert (engine.batching, clock.loaded) == ("1 image at once, not yet measured", [(1,)])
    assert not (tmp_path / "tuning").exists()


def test_a_gain_that_may_be_noise_changes_nothing(tuned):
    engine, _ = tuned({**COSTS, (1,): 0.00203})
    engine(PIXELS)
    assert engine.batch_sizes == (1,)


def test_one_slow_timing_does_not_decide(tuned):
    engine, clock = tuned(COSTS)
    clock.costs = {**COSTS, (2,): 1.0}
    engine(PIXELS[:64])
    clock.costs = COSTS
    engine(PIXELS)
    assert engine.batch_sizes == (2,)


def test_a_candidate_that_rounds_differently_is_left_out(tuned):
    engine, _ = tuned(COSTS, {(2,): AMX})
    assert np.array_equal(engine(PIXELS), PIXELS)
    assert (engine.batch_sizes, engine.arithmetic) == ((1, 16), AVX512)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"batch_sizes": [7]}', b'{"batch_sizes": "2"}', b"[]"])
def test_a_damaged_file_is_measured_again(tuned, tmp_path, damage):
    tuned(COSTS)[0](PIXELS)
    [file] = (tmp_path / "tuning").iterdir()
    file.write_bytes(damage)
    engine, _ = tuned(COSTS)
    engine(PIXELS)
    assert engine.batch_sizes == (2,)
    assert json.loads(file.read_text())["batch_sizes"] == [2]


def test_a_cache_that_cannot_be_written_costs_nothing_but_the_measurement(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    clock = Clock(COSTS)
    engine = TuningEngine(clock.load, CANDIDATES["bf16"], TuningFile(tmp_path / "file", "some-bf16"))
    assert np.array_equal(engine(PIXELS), PIXELS)
    assert "not yet" not in engine.batching


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_features_are_the_same_to_the_last_bit_while_it_measures_and_afterwards(int8_extractor, tmp_path, precision):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 224, 224, 3), np.uint8)
    load = partial(load_engine, int8_extractor, 224, "openvino", precision)
    engine = load_tuned(load, precision, TuningFile(tmp_path, f"some-{precision}"))
    features = engine(pixels)
    assert "not yet" not in engine.batching
    assert engine.batch_sizes in CANDIDATES[precision]
    expected = load()(pixels)
    if precision == "f32":
        assert np.array_equal(features, expected)
    assert np.abs(features - expected).max() < 1e-2 * np.abs(expected).max()


def test_workers_tune_by_processor_and_extractor_unless_a_batch_size_is_wanted(published, tmp_path):
    files = ExtractorFiles.of(resources_for(published.settings)["storage"].table("feature_extractor").current())
    free = worker_engine(files, FeaturizationOptions(None, "openvino", "f32", tmp_path))
    assert isinstance(free, TuningEngine)
    assert worker_engine(files, FeaturizationOptions(None, "openvino", "f32", tmp_path)) is free
    fixed = worker_engine(files, FeaturizationOptions(3, "openvino", "f32", tmp_path))
    assert fixed.batching == "3 images at once"
    one, other = (TuningFile(Path("cache"), name).path for name in ("one-f32", "other-f32"))
    assert one != other
