"""How many images a network takes at once, found on the processor that runs it.

Put here the candidates, the engine that times them on the images it is given anyway, and the file that keeps the result
on this machine. No image is inferred for the sake of the measurement: it costs the loading of the other candidates, 0.1
to 0.4 s of a processor per machine, extractor and precision.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fruit_assets.extractor.engines import DEFAULT_BATCH_SIZES, BatchSizes, LoadedEngine, describe_batches
from fruit_assets.extractor.processor import processor_flags, processor_name

if TYPE_CHECKING:
    import numpy as np

# Beside the default, which is the fastest or within 3 % of it on two busy cores with AVX-512 and without AMX. With AMX
# two images at once are 25 % faster at bf16, and 15 % at int8.
_OTHERS: dict[str, tuple[BatchSizes, ...]] = {"f32": ((2,), (1,)), "bf16": ((2,), (1, 16), (4,)), "int8": ((2,), (1,))}
CANDIDATES = {precision: (default, *_OTHERS[precision]) for precision, default in DEFAULT_BATCH_SIZES.items()}
# Images of one timing, and timings of each candidate, of which the best counts: others disturb, nothing helps.
_IMAGES, _ROUNDS = 16, 3
# Another candidate has to be worth the change.
_GAIN = 1.03

Load = Callable[[BatchSizes], LoadedEngine]
FeatureEngine: TypeAlias = "LoadedEngine | TuningEngine"


@dataclass(frozen=True)
class TuningFile:
    """The batch sizes that were found for one extractor at one precision on one kind of processor.

    Attributes:
        cache: folder of this machine.
        features_fingerprint: names extractor and precision.
    """

    cache: Path
    features_fingerprint: str

    @property
    def path(self) -> Path:
        identity = [self.features_fingerprint, processor_name(), processor_flags(), version("openvino"), CANDIDATES]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        return self.cache / "tuning" / f"{key}.json"

    def read(self) -> BatchSizes | None:
        """What was found before; None when nothing was, or the file is damaged."""
        try:
            sizes = tuple(json.loads(self.path.read_bytes())["batch_sizes"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return sizes if sizes and all(isinstance(size, int) and size > 0 for size in sizes) else None

    def write(self, chosen: BatchSizes, images_per_second: dict[BatchSizes, float]) -> None:
        """Keep it for other processes and later runs; on a disk that is full or read-only every process measures."""
        rates = {describe_batches(sizes): round(rate, 1) for sizes, rate in images_per_second.items()}
        content = json.dumps({"batch_sizes": chosen, "images_per_second": rates}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
                file.write(content)
            Path(file.name).replace(self.path)
        except OSError:
            return


class TuningEngine:
    """Infers with each candidate in turn until the fastest is known, and with that one from then on.

    A candidate that computes with other kernels than the first is left out: its features would round differently.

    Args:
        load: loads the extractor with some batch sizes.
        candidates: to choose from.
        file: where the choice is kept.

    Attributes:
        arithmetic: what the extractor really runs at.
        batch_sizes: the first candidate's, or the fastest's once it is known.
    """

    def __init__(self, load: Load, candidates: tuple[BatchSizes, ...], file: TuningFile) -> None:
        self._load, self._file = load, file
        self._engine = load(candidates[0])
        self._loaded = {candidates[0]: self._engine}
        self._waiting = list(candidates) * _ROUNDS
        self._rates: dict[BatchSizes, float] = {}
        self.arithmetic = self._engine.arithmetic

    @property
    def batch_sizes(self) -> BatchSizes:
        return self._engine.batch_sizes

    @property
    def batching(self) -> str:
        """The batch sizes for people, and whether they were measured."""
        return self._engine.batching + ("" if not self._waiting else ", not yet measured")

    def __call__(self, pixels: "np.ndarray") -> "np.ndarray":
        import numpy as np

        parts, start = [], 0
        while self._waiting and len(pixels) - start >= _IMAGES:
            parts.append(self._timed(self._waiting.pop(0), pixels[start : start + _IMAGES]))
            start += _IMAGES
        rest = self._engine(pixels[start:])
        return np.concatenate([*parts, rest]) if parts else rest

    def _timed(self, candidate: BatchSizes, pixels: "np.ndarray") -> "np.ndarray":
        engine = self._loaded.get(candidate) or self._load(candidate)
        if engine.arithmetic != self.arithmetic:
            self._waiting = [other for other in self._waiting if other != candidate]
            engine = self._engine
        else:
            self._loaded[candidate] = engine
        started = time.perf_counter()
        features = engine(pixels)
        rate = len(pixels) / (time.perf_counter() - started)
        self._rates[engine.batch_sizes] = max(rate, self._rates.get(engine.batch_sizes, 0.0))
        if not self._waiting:
            self._settle()
        return features

    def _settle(self) -> None:
        default, fastest = self._engine.batch_sizes, max(self._rates, key=self._rates.__getitem__)
        if self._rates[fastest] < _GAIN * self._rates[default]:
            fastest = default
        self._engine = self._loaded[fastest]
        self._loaded.clear()
        self._file.write(fastest, self._rates)


def load_tuned(load: Load, precision: str, file: TuningFile) -> FeatureEngine:
    """The extractor with the batch sizes that were found on this machine before, or one that finds them."""
    known = file.read()
    candidates = CANDIDATES[precision]
    return load(known) if known in candidates else TuningEngine(load, candidates, file)
