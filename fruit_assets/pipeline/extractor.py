"""The feature extractor: what it is, its fingerprint, and running it.

Put here what a worker needs to turn pixels into features with either engine. Building and exporting
it with Keras belongs in `extractor_export.py`, which is the only place that needs TensorFlow.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fruit_assets.errors import PermanentError
from fruit_assets.pipeline.weights import ARCHITECTURE, WeightsSource
from fruit_assets.storage.stores import open_store

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.storage.versions import Version

FEATURES = 1280
INPUT_SIZES = (96, 128, 160, 192, 224)
# Bump when the pixels that reach the network change for the same file.
PREPROCESSING = "rgb, PIL bicubic, x/127.5-1"
DESCRIPTION_FILE = "extractor.json"

Engine = Literal["openvino", "tensorflow"]
Precision = Literal["f32", "bf16"]


@dataclass(frozen=True)
class ExtractorSpec:
    """What makes one extractor differ from another."""

    weights: WeightsSource
    input_size: int = 224

    @property
    def fingerprint(self) -> str:
        """Equal for extractors that give equal features: weights, architecture, preprocessing, size."""
        identity = [ARCHITECTURE, self.weights.kind, self.weights.identity, self.input_size, PREPROCESSING]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ExtractorDescription:
    """`extractor.json`: what was exported, for people and for workers that check what they loaded.

    Attributes:
        fingerprint: see `ExtractorSpec.fingerprint`.
        files: sha256 of every exported file, by name.
        parameters: number of weights.
        versions: of the libraries that exported it.
    """

    fingerprint: str
    architecture: str
    input_size: int
    features: int
    preprocessing: str
    weights: dict[str, str]
    parameters: int
    files: dict[str, str]
    versions: dict[str, str]

    @staticmethod
    def from_json(content: bytes) -> "ExtractorDescription":
        return ExtractorDescription(**json.loads(content))

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @property
    def pretrained(self) -> bool:
        return self.weights["kind"] != "random"


def features_fingerprint(extractor: str, precision: str) -> str:
    """Names the features of one extractor at one precision: rows under the same name can be reused."""
    return f"{extractor}-{precision}"


@dataclass(frozen=True)
class ExtractorFiles:
    """A published extractor as workers find it: small enough to travel with a task.

    Attributes:
        uri: folder or `s3://` prefix of the version's files.
        description: the published description.
    """

    uri: str
    description: ExtractorDescription

    @staticmethod
    def of(version: "Version") -> "ExtractorFiles":
        description = ExtractorDescription.from_json(version.read_file(DESCRIPTION_FILE))
        folder = version.manifest.files[0].path.rpartition("/")[0]
        return ExtractorFiles(version.store.uri_of(folder), description)

    def local_folder(self, cache: Path) -> Path:
        """The files on this machine, checked against their digests; fetched once per machine."""
        if not self.uri.startswith("s3://"):
            return self._checked(Path(self.uri))
        # Two exports of one extractor give the same features from different bytes: each has its own folder.
        content = hashlib.sha256(json.dumps(self.description.files, sort_keys=True).encode()).hexdigest()[:16]
        target = cache / "extractors" / f"{self.description.fingerprint}-{content}"
        if not target.is_dir():
            _fetch_once(self, target)
        return self._checked(target)

    def _checked(self, folder: Path) -> Path:
        for name, expected in self.description.files.items():
            file = folder / name
            actual = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
            if actual != expected:
                raise PermanentError(
                    f"{file} is not the file that was exported (sha256 {actual[:12]}, expected {expected[:12]}). "
                    "Materialise feature_extractor again"
                    + ("." if str(folder) == self.uri else f" and delete {folder}.")
                )
        return folder


def _fetch_once(files: ExtractorFiles, target: Path) -> None:
    import shutil
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        store = open_store(files.uri)
        for name in files.description.files:
            (temporary / name).write_bytes(store.get(name))
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # another worker was first: its files are as good as ours
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# Takes uint8 pixels (n, size, size, 3), gives float32 features (n, 1280).
Infer = Callable[["np.ndarray"], "np.ndarray"]


def load_engine(folder: Path, input_size: int, engine: Engine, precision: str, batch_size: int) -> Infer:
    """Load an exported extractor for one thread of one process.

    Args:
        folder: local folder of the exported files.
        input_size: height and width of the pixels it will be given.
        engine: `openvino`, or `tensorflow` as the reference.
        precision: `f32` or `bf16`; the reference runs at `f32` only.
        batch_size: images per inference.
    """
    if engine == "tensorflow":
        return _load_tensorflow(folder, batch_size)
    return _load_openvino(folder, input_size, precision, batch_size)


def _load_openvino(folder: Path, input_size: int, precision: str, batch_size: int) -> Infer:
    import numpy as np
    import openvino as ov

    core = ov.Core()
    model = core.read_model(folder / "extractor.xml")
    model.reshape([batch_size, input_size, input_size, 3])
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            # Pinned, the processes of all tasks would land on the same core.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def infer(pixels: "np.ndarray") -> "np.ndarray":
        features = np.empty((len(pixels), FEATURES), np.float32)
        for start in range(0, len(pixels), batch_size):
            part = pixels[start : start + batch_size]
            if (missing := batch_size - len(part)) > 0:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
            request.infer(np.ascontiguousarray(part), share_inputs=True)
            features[start : start + batch_size] = request.get_output_tensor().data[: batch_size - missing]
        return features

    return infer


def _load_tensorflow(folder: Path, batch_size: int) -> Infer:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model: Any = keras.saving.load_model(folder / "extractor.keras", compile=False, safe_mode=True)

    def infer(pixels: "np.ndarray") -> "np.ndarray":
        starts = range(0, len(pixels), batch_size)
        parts = [np.asarray(model(pixels[start : start + batch_size], training=False)) for start in starts]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty((0, FEATURES), np.float32)

    return infer
