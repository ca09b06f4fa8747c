"""Tests of the int8 model: it is int8, always the same, and serves as well as the one it was made from."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fruit_assets.analysis.moments import Moments
from fruit_assets.analysis.pca import fit
from fruit_assets.errors import InputError, PermanentError
from fruit_assets.extractor import quantization
from fruit_assets.extractor.architectures import DEFAULT
from fruit_assets.extractor.calibration import Calibration, calibration_pixels, resolve_calibration
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.quantization import Quantization, int8_fingerprint
from fruit_assets.extractor.specification import DESCRIPTION_FILE, INT8_MODEL, ExtractorDescription
from fruit_assets.features.comparison import figures_of
from fruit_assets.features.drift_check import DriftFigures
from fruit_assets.features.inference_worker import list_column
from fruit_assets.images.decoding import decode


@pytest.fixture(scope="module")
def few(collection, tmp_path_factory) -> Path:
    """Sixteen images to calibrate on, in two classes."""
    folder = tmp_path_factory.mktemp("calibration")
    for number, file in enumerate(sorted(collection.images.rglob("*.jpg"))[:: collection.image_count // 16][:16]):
        (folder / f"class {number % 2}").mkdir(exist_ok=True)
        shutil.copy(file, folder / f"class {number % 2}" / f"{number}.jpg")
    return folder


def _infer(folder: Path, precision: str, pixels: np.ndarray) -> np.ndarray:
    return load_engine(folder, 224, "openvino", precision, 8)(pixels)


def _recognised(rows: np.ndarray, labels: np.ndarray) -> float:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return float((labels[similarity.argmax(axis=1)] == labels).mean())


def _reduced(rows: np.ndarray) -> np.ndarray:
    return fit(Moments.of(rows), min(80, len(rows)), None, standardize=True).project(rows)


def test_int8_of_trained_weights_recognises_as_f32_does_and_of_untrained_ones_the_guard_says_that_it_does_not(
    collection, int8_extractor
):
    files = sorted(collection.images.rglob("*.jpg"))
    labels = np.array([file.parent.name for file in files])
    pixels = np.stack([decode(file.read_bytes(), 224) for file in files])
    exact, rounded = (_infer(int8_extractor, precision, pixels) for precision in ("f32", "int8"))
    guard = _guarded(exact, rounded, labels)
    if not collection.real:
        # Activations of untrained weights are all but nothing, and int8 leaves nothing of them.
        assert any("mean cosine" in problem for problem in guard.problems())
        return
    assert guard.problems() == []
    assert guard.mean_cosine > 0.93
    assert _recognised(rounded, labels) >= _recognised(exact, labels) - 0.01
    assert _recognised(_reduced(rounded), labels) >= _recognised(_reduced(exact), labels) - 0.01


def _guarded(exact: np.ndarray, rounded: np.ndarray, labels: np.ndarray) -> DriftFigures:
    count = len(labels)
    ones = pa.array([1] * count, pa.int64())
    rows = (list_column(features, np.ones(count, dtype=bool)) for features in (exact, rounded))
    columns = [pa.array(labels.tolist()), *rows, ones, ones, pa.array(["int8"] * count), pa.array([""] * count)]
    names = ["label", "reference", "features", "reference_us", "features_us", "arithmetic", "flags"]
    return figures_of("int8", pa.table(columns, names), DEFAULT.drift_limits)


def test_the_int8_model_really_runs_in_int8_and_the_other_does_not(int8_extractor):
    for precision in ("int8", "f32"):
        arithmetic = load_engine(int8_extractor, 224, "openvino", precision, 1).arithmetic
        assert arithmetic.precision == precision
        assert arithmetic.kernels not in ("", "unknown")


def test_the_extractor_describes_its_int8_model(int8_extractor):
    description = ExtractorDescription.from_json((int8_extractor / DESCRIPTION_FILE).read_bytes())
    assert description.quantized is not None
    assert description.quantized.images == 300
    assert description.quantized.calibration == "300 rendered images, seed 0"
    assert description.quantized.fingerprint == int8_fingerprint(description.fingerprint, resolve_calibration(None))
    assert description.features_fingerprint("int8") == f"{description.quantized.fingerprint}-int8"
    assert {INT8_MODEL, "extractor-int8.bin"} <= set(description.files)


def test_the_same_calibration_gives_the_same_model(int8_extractor, few):
    files = {file.name: file.read_bytes() for file in int8_extractor.iterdir()}
    both = [Quantization(resolve_calibration(str(few)), 224) for _ in range(2)]  # they run side by side
    first, second = (made.added_to(files) for made in both)
    assert first["extractor-int8.bin"] == second["extractor-int8.bin"]
    assert first[INT8_MODEL] == second[INT8_MODEL]
    assert first["extractor-int8.bin"] != files["extractor-int8.bin"]
    quantized = ExtractorDescription.from_json(first[DESCRIPTION_FILE]).quantized
    assert quantized is not None
    assert quantized.calibration == f"16 images of {few}"


def test_other_calibration_images_are_another_model_and_the_same_ones_are_not(few, tmp_path):
    named = resolve_calibration(str(few))
    assert named.identity == resolve_calibration(str(few)).identity
    assert len(named.paths) == 16
    moved = shutil.copytree(few, tmp_path / "moved")
    (next(moved.rglob("*.jpg"))).write_bytes(b"other bytes")
    assert int8_fingerprint("extractor", resolve_calibration(str(moved))) != int8_fingerprint("extractor", named)
    assert int8_fingerprint("extractor", resolve_calibration(None)) != int8_fingerprint("extractor", named)


def test_at_most_300_images_of_a_large_place_are_taken_from_all_its_classes(collection):
    paths = resolve_calibration(str(collection.images)).paths
    assert len(set(paths)) == len(paths) == pytest.approx(min(300, collection.image_count), abs=collection.label_count)
    assert len(paths) <= 300
    assert len({path.split("/")[-2] for path in paths}) == collection.label_count


def test_places_that_cannot_serve_are_named_with_the_way_out(few, tmp_path):
    with pytest.raises(
        InputError, match=r"calibration_images of feature_extractor is .*nowhere.* does not exist\. Name"
    ):
        resolve_calibration(str(tmp_path / "nowhere"))
    small = tmp_path / "small" / "a"
    small.mkdir(parents=True)
    shutil.copy(next(few.rglob("*.jpg")), small)
    with pytest.raises(InputError, match=r"holds 1 image\(s\): name a place with 16 or more"):
        resolve_calibration(str(small.parent))
    broken = tmp_path / "broken" / "a"
    broken.mkdir(parents=True)
    for number in range(20):
        (broken / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"Only 0 of 20 images of .*broken can be read, and 16 are needed"):
        calibration_pixels(resolve_calibration(str(broken.parent)), 224)


def test_a_calibration_that_fails_is_reported_by_the_process_that_waits_for_it(int8_extractor, few):
    gone = Calibration(str(few), "gone", tuple(f"class 0/none{number}.jpg" for number in range(20)))
    files = {file.name: file.read_bytes() for file in int8_extractor.iterdir()}
    with pytest.raises(InputError, match=r"Only 0 of 20 images of"):
        Quantization(gone, 224).added_to(files)


def test_without_nncf_int8_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs NNCF, which is not installed here\. Run pip install"):
        Quantization(resolve_calibration(None), 224)


def test_a_model_that_was_not_exported_is_refused(published, tmp_path):
    from fruit_assets.extractor.specification import ExtractorFiles
    from fruit_assets.resources import resources_for

    files = ExtractorFiles.of(resources_for(published.settings)["storage"].table("feature_extractor").current())
    with pytest.raises(InputError, match=r"has no int8 model\. Materialise feature_extractor in the same run"):
        files.description.features_fingerprint("int8")
    with pytest.raises(PermanentError, match="exported without int8"):
        load_engine(files.local_folder(tmp_path), 224, "openvino", "int8", 1)
