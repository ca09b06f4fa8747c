"""Tests of weights and of the exported extractor: which weights were taken, and what is refused."""

import hashlib
import re
import uuid
from dataclasses import replace

import pytest

from fruit_assets.errors import InputError, PermanentError, StorageError
from fruit_assets.extractor import weights
from fruit_assets.extractor.export import Export
from fruit_assets.extractor.specification import ExtractorFiles, ExtractorSpec
from fruit_assets.extractor.weights import resolve_weights
from fruit_assets.object_store.stores import open_store
from fruit_assets.resources import resources_for
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import read_all

_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A machine without the internet and without Keras' cache; its proxy refuses at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, _NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / ".keras"))


def test_a_weights_file_is_known_by_its_bytes_not_by_its_name(tmp_path, bucket):
    content = b"\x89HDF\r\n\x1a\n and more"
    (tmp_path / "a b#1.h5").write_bytes(content)
    source = resolve_weights(str(tmp_path / "a b#1.h5"))
    assert (source.kind, source.identity, source.warning) == ("file", hashlib.sha256(content).hexdigest(), "")
    from fruit_assets.object_store.stores import open_store

    open_store(f"s3://{bucket}/w").put("other.h5", content)
    other = resolve_weights(f"s3://{bucket}/w/other.h5")
    assert other.identity == source.identity
    assert ExtractorSpec(other).fingerprint == ExtractorSpec(source).fingerprint
    assert ExtractorSpec(other, 160).fingerprint != ExtractorSpec(source).fingerprint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "Cannot read the weights .*: it does not exist. FRUIT_ASSETS_WEIGHTS takes"),
        (lambda path: path.mkdir(), "Cannot read the weights .*Is a directory"),
        (lambda path: path.write_bytes(b"PK\x03\x04 a zip"), r"is not a Keras weights file \(HDF5\)"),
        (lambda path: path.write_bytes(b""), r"is not a Keras weights file \(HDF5\)"),
    ],
)
def test_a_weights_file_that_is_none_is_refused_before_tensorflow_is_needed(tmp_path, make, message):
    make(tmp_path / "weights.h5")
    with pytest.raises(InputError, match=message):
        resolve_weights(str(tmp_path / "weights.h5"))


def test_random_weights_say_so_and_imagenet_says_nothing():
    random, imagenet = resolve_weights("random"), resolve_weights("imagenet")
    assert "random" in random.warning
    assert (random.kind, imagenet.kind) == ("random", "imagenet")
    assert imagenet.warning == ""
    assert ExtractorSpec(random).fingerprint != ExtractorSpec(imagenet).fingerprint


def test_auto_without_internet_takes_random_weights_and_says_why(offline):
    source = resolve_weights("auto")
    assert source.kind == "random"
    assert re.search(r"could not be downloaded \(.+\)", source.warning)
    assert ExtractorSpec(source).fingerprint == ExtractorSpec(resolve_weights("random")).fingerprint


def test_auto_takes_imagenet_when_keras_has_it_or_its_server_answers(offline, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "_why_unreachable", lambda url, patience: None)
    assert resolve_weights("auto").kind == "imagenet"
    monkeypatch.setattr(weights, "_why_unreachable", lambda url, patience: "unplugged")
    assert resolve_weights("auto").kind == "random"
    cached = tmp_path / ".keras" / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"")
    assert resolve_weights("auto").kind == "imagenet"


def test_imagenet_without_internet_is_refused_with_the_ways_out(offline):
    with pytest.raises(
        InputError, match=r"(?s)ImageNet weights cannot be downloaded.*Set FRUIT_ASSETS_WEIGHTS to .*'auto'"
    ):
        Export(ExtractorSpec(resolve_weights("imagenet"))).files()


def test_hdf5_weights_of_another_network_are_refused_by_name(tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=[[1.0, 2.0]])
    with pytest.raises(
        InputError, match=r"other\.weights\.h5 do not fit MobileNetV2 without its top: .*choose its name as `model`"
    ):
        Export(ExtractorSpec(resolve_weights(str(tmp_path / "other.weights.h5")))).files()


@pytest.fixture
def files(published) -> ExtractorFiles:
    return ExtractorFiles.of(resources_for(published.settings)["storage"].table("feature_extractor").current())


def test_random_weights_are_the_same_in_every_export():
    both = [Export(ExtractorSpec(resolve_weights("random"), 96)) for _ in range(2)]  # they run side by side
    exported, again = (export.files() for export in both)
    assert exported["extractor.bin"] == again["extractor.bin"]
    assert sorted(exported) == ["extractor.bin", "extractor.json", "extractor.keras", "extractor.xml"]


def test_the_pixels_reach_the_first_convolution_as_they_lie_in_memory(files, tmp_path):
    import openvino as ov

    model = ov.Core().read_model(files.local_folder(tmp_path) / "extractor.xml")
    assert (model.input().get_element_type(), model.input().get_names()) == (ov.Type.u8, {"pixels"})
    head = [node.get_type_name() for node in model.get_ordered_ops() if node.get_type_name() != "Constant"]
    assert head[:6] == ["Parameter", "Convert", "Multiply", "Add", "Transpose", "Convolution"]
    size = files.description.input_size
    model.reshape([1, size, size, 3])  # as workers do
    compiled = ov.Core().compile_model(model, "CPU")
    run = {node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ops()}
    assert "Convolution" in run
    assert "Transpose" not in run


def test_a_cache_that_cannot_be_written_is_named_with_the_setting(files, tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(StorageError, match=r"files to .*/cache/extractors: Not a directory.*FRUIT_ASSETS_CACHE"):
        files.local_folder(tmp_path / "cache")


def _stored(files: ExtractorFiles, uri: str, **changed: bytes) -> ExtractorFiles:
    """The same extractor in a table of its own, with other contents of some files."""
    table = Table(open_store(uri))
    contents = {**read_all(files.version), **{name.replace("_", "."): content for name, content in changed.items()}}
    return ExtractorFiles.of(table.commit(stage_files(contents, VersionWriter(table, uuid.uuid4().hex))))


def test_an_exported_file_that_changed_is_refused_by_workers(files, tmp_path):
    changed = _stored(files, str(tmp_path / "extractor"), extractor_xml=b"<xml>")
    with pytest.raises(PermanentError, match=r"extractor\.xml is not the file that was exported.*materialise"):
        changed.local_folder(tmp_path / "cache")


def test_workers_fetch_an_extractor_once_and_notice_a_damaged_cache(files, bucket, tmp_path):
    remote = _stored(files, f"s3://{bucket}/extractor")
    folder = remote.local_folder(tmp_path)
    assert {file.name for file in folder.iterdir()} == set(files.description.files)
    # The same extractor exported once more has other bytes, and does not meet the first one's.
    other = dict(files.description.files, **{"extractor.xml": hashlib.sha256(b"<other>").hexdigest()})
    description = replace(files.description, files=other).to_json()
    again = _stored(files, f"s3://{bucket}/again", extractor_xml=b"<other>", extractor_json=description)
    assert (again.local_folder(tmp_path) / "extractor.xml").read_bytes() == b"<other>"
    store = remote.version.store
    store.delete([item.key for item in store.list()])
    assert remote.local_folder(tmp_path) == folder
    (folder / "extractor.xml").write_bytes(b"<xml>")
    with pytest.raises(PermanentError, match=r"extractor\.xml is not the file .* Delete"):
        remote.local_folder(tmp_path)
