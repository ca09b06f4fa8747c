"""The feature extractor: what it is, its fingerprint, and its files.

Put here what names an extractor and where its files are. Running it belongs in `engines.py`, building it
with Keras in `export.py`, and making its int8 model in `quantization.py`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fruit_assets.errors import InputError, PermanentError, StorageError
from fruit_assets.extractor.architectures import DEFAULT, Architecture
from fruit_assets.extractor.weights import WeightsSource
from fruit_assets.storage.artifacts import read_file

if TYPE_CHECKING:
    from fruit_assets.storage.delta.version import Version

# Bump when the pixels that reach the network change for the same file.
DECODING = "rgb, 8 bits by depth, PIL bicubic"
DESCRIPTION_FILE = "extractor.json"
MODEL, INT8_MODEL, KERAS_MODEL = "extractor.xml", "extractor-int8.xml", "extractor.keras"

Engine = Literal["openvino", "tensorflow"]


@dataclass(frozen=True)
class ExtractorSpec:
    """What makes one extractor differ from another."""

    weights: WeightsSource
    input_size: int = 224
    architecture: Architecture = DEFAULT

    @property
    def preprocessing(self) -> str:
        """Names what happens to a file's pixels before the first layer that has weights."""
        return f"{DECODING}, {self.architecture.scaling_name}"

    @property
    def fingerprint(self) -> str:
        """Equal for extractors that give equal features: weights, architecture, preprocessing, size."""
        weights = self.weights
        identity = [self.architecture.name, weights.kind, weights.identity, self.input_size, self.preprocessing]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class QuantizedModel:
    """The int8 model of an extractor: what it was calibrated on, and how.

    Attributes:
        fingerprint: equal for models that give equal features: extractor, method and calibration.
        method: how it was quantised.
        calibration: what it was calibrated on, for people.
        images: how many of them.
        versions: of the libraries that did it.
    """

    fingerprint: str
    method: str
    calibration: str
    images: int
    versions: dict[str, str]


@dataclass(frozen=True)
class ExtractorDescription:
    """`extractor.json`: what was exported, for people and for workers that check what they loaded.

    Attributes:
        fingerprint: see `ExtractorSpec.fingerprint`.
        files: sha256 of every exported file, by name.
        parameters: number of weights.
        versions: of the libraries that exported it.
        quantized: the int8 model beside it; None where none was exported.
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
    quantized: QuantizedModel | None = None

    @staticmethod
    def from_json(content: bytes) -> "ExtractorDescription":
        value = json.loads(content)
        quantized = value.pop("quantized", None)
        return ExtractorDescription(**value, quantized=QuantizedModel(**quantized) if quantized else None)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    def features_fingerprint(self, precision: str) -> str:
        """Names the features of this extractor at one precision: rows under the same name can be reused.

        Raises:
            InputError: `int8` is asked for and was not exported.
        """
        if precision != "int8":
            return f"{self.fingerprint}-{precision}"
        if self.quantized is None:
            raise InputError(
                "The published extractor has no int8 model. Materialise feature_extractor in the same run as "
                "image_features, or with `quantize: true`, and it is exported."
            )
        return f"{self.quantized.fingerprint}-{precision}"


@dataclass(frozen=True)
class ExtractorFiles:
    """A published extractor as workers find it: small enough to travel with a task.

    Attributes:
        version: the published version, which holds the files.
        description: the published description.
    """

    version: "Version"
    description: ExtractorDescription

    @staticmethod
    def of(version: "Version") -> "ExtractorFiles":
        description = ExtractorDescription.from_json(read_file(version, DESCRIPTION_FILE))
        return ExtractorFiles(version, description)

    def local_folder(self, cache: Path) -> Path:
        """The files on this machine, checked against their digests; fetched once per machine."""
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
                    f"Delete {folder}, or materialise feature_extractor again."
                )
        return folder


def _fetch_once(files: ExtractorFiles, target: Path) -> None:
    import shutil
    import tempfile

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent))
    except OSError as error:
        raise StorageError(
            f"Cannot write the extractor's files to {target.parent}: {error.strerror}. Name another folder in "
            "FRUIT_ASSETS_CACHE."
        ) from error
    try:
        for name in files.description.files:
            (temporary / name).write_bytes(read_file(files.version, name))
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # another worker was first: its files are as good as ours
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
