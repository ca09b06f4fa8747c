"""Running an exported extractor in this process, with either engine.

Put here how a model is loaded for one thread, and the proof of what it runs at. What an extractor is
belongs in `specification.py`; who loads it when, in `featurization.py`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets.errors import PermanentError
from fruit_assets.extractor.processor import ExecutionProfile, processor_flags
from fruit_assets.extractor.specification import INT8_MODEL, KERAS_MODEL, MODEL, Engine
from fruit_assets.extractor.split_model import halves
from fruit_assets.settings import set_variables

if TYPE_CHECKING:
    import numpy as np
    import openvino as ov

# Takes uint8 pixels (n, size, size, 3), gives float32 features (n, features).
Infer = Callable[["np.ndarray"], "np.ndarray"]

# Images at once of the whole network, or of its first half and at most of its second.
BatchSizes = tuple[int, ...]
# The fastest with AVX-512 and without AMX; `tuning.py` finds those of the processor at hand.
DEFAULT_BATCH_SIZES: dict[str, BatchSizes] = {"f32": (1, 16), "bf16": (1,), "int8": (4,)}
# A worker peaks at 1.5 GiB; with 32 images at once at 3.5 GiB, and at 0.8 GiB before the first image.
_TENSORFLOW_BATCH_SIZE = 8
_INTEGERS = frozenset({"i8", "u8"})
# The instruction set in OpenVINO's names of its kernels.
_KERNELS = re.compile(r"avx512_amx|avx512|avx2|sse41|sve\d*|neon|asimd|acl")


@dataclass(frozen=True)
class LoadedEngine:
    """An extractor ready to run on one thread of this process.

    Attributes:
        infer: uint8 pixels (n, size, size, 3) to float32 features (n, features).
        arithmetic: what it really runs at, as the engine reports it.
        batch_sizes: images at once.
    """

    infer: Infer
    arithmetic: ExecutionProfile
    batch_sizes: BatchSizes

    @property
    def batching(self) -> str:
        """The batch sizes for people."""
        return describe_batches(self.batch_sizes)

    def __call__(self, pixels: "np.ndarray") -> "np.ndarray":
        return self.infer(pixels)


def describe_batches(sizes: BatchSizes) -> str:
    """Batch sizes in words, such as `1 image at once, 16 in the second half of the network`."""
    first = f"{sizes[0]} image{'s' if sizes[0] > 1 else ''} at once"
    return first if len(sizes) == 1 else f"{first}, {sizes[1]} in the second half of the network"


def load_engine(
    folder: Path, input_size: int, engine: Engine, precision: str, batch_size: int | BatchSizes | None = None
) -> LoadedEngine:
    """Load an exported extractor for one thread of one process.

    Args:
        folder: local folder of the exported files.
        input_size: height and width of the pixels it will be given.
        engine: `openvino`, or `tensorflow` as the reference.
        precision: `f32`, `bf16` or `int8`; the reference runs at `f32` only.
        batch_size: images per inference, two numbers for the first half of the network and the second; None for
            those of `DEFAULT_BATCH_SIZES`.

    Raises:
        PermanentError: `int8` is asked for and was not exported.
    """
    sizes = (batch_size,) if isinstance(batch_size, int) else batch_size
    if engine == "tensorflow":
        return _load_tensorflow(folder, sizes[0] if sizes else _TENSORFLOW_BATCH_SIZE)
    return _load_openvino(folder, input_size, precision, sizes or DEFAULT_BATCH_SIZES[precision])


def _load_openvino(folder: Path, input_size: int, precision: str, batch_sizes: BatchSizes) -> LoadedEngine:
    import openvino as ov

    file = folder / (INT8_MODEL if precision == "int8" else MODEL)
    if not file.is_file():
        raise PermanentError(f"{file} does not exist: this extractor was exported without {precision}.")
    core = ov.Core()
    model = core.read_model(file)
    model.reshape([-1, input_size, input_size, 3])
    parts, sizes = _parts(model, batch_sizes)
    compiled = [
        core.compile_model(
            part,
            "CPU",
            {
                # What is not quantised in an int8 model stays f32: the same rounding on every processor.
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                "INFERENCE_NUM_THREADS": 1,
                "NUM_STREAMS": 1,
                # Pinned, the processes of all tasks would land on the same core.
                "ENABLE_CPU_PINNING": False,
            },
        )
        for part in parts
    ]
    stages = [_in_batches(part.create_infer_request(), size) for part, size in zip(compiled, sizes, strict=True)]
    width = compiled[-1].output().partial_shape[1].get_length()
    return LoadedEngine(_one_after_the_other(stages, sizes, width), _arithmetic(compiled), batch_sizes)


def _parts(model: "ov.Model", sizes: BatchSizes) -> "tuple[Sequence[ov.Model], BatchSizes]":
    """What to compile of a model, and how many images each of it then takes at once."""
    if len(sizes) == 2 and (parts := halves(model, sizes[0])) is not None:
        return parts, sizes
    model.reshape([sizes[0], *list(model.input().partial_shape)[1:]])
    return [model], sizes[:1]


def _one_after_the_other(stages: Sequence[Infer], sizes: Sequence[int], width: int) -> Infer:
    """As many images as the last stage takes at once go through all of them, and then the next."""
    import numpy as np

    if len(stages) == 1:
        return stages[0]

    def infer(pixels: "np.ndarray") -> "np.ndarray":
        features = np.empty((len(pixels), width), np.float32)
        for start in range(0, len(pixels), sizes[-1]):
            part = pixels[start : start + sizes[-1]]
            for stage in stages:
                part = stage(part)
            features[start : start + sizes[-1]] = part
        return features

    return infer


def _in_batches(request: Any, batch_size: int) -> Infer:
    import numpy as np

    # The shape of one image's output.
    shape = [dimension.get_length() for dimension in list(request.model_outputs[0].partial_shape)[1:]]
    takes_fewer = request.model_inputs[0].partial_shape[0].is_dynamic

    def infer(inputs: "np.ndarray") -> "np.ndarray":
        outputs = np.empty((len(inputs), *shape), np.float32)
        for start in range(0, len(inputs), batch_size):
            part = inputs[start : start + batch_size]
            if (missing := batch_size - len(part)) > 0 and not takes_fewer:
                part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
            request.infer(np.ascontiguousarray(part), share_inputs=True)
            outputs[start : start + batch_size] = request.get_output_tensor().data[: batch_size - missing]
        return outputs

    return infer


def _arithmetic(compiled: Iterable[Any]) -> ExecutionProfile:
    """What the convolutions of compiled models run at: a hint is not a promise."""
    precisions, kernels = set(), set()
    for node in chain.from_iterable(model.get_runtime_model().get_ops() for model in compiled):
        info = node.get_rt_info()
        if info["layerType"].astype(str) == "Convolution":
            precision = info["runtimePrecision"].astype(str)
            precisions.add("int8" if precision in _INTEGERS else precision)
            # Such as brgconv_avx512_1x1_f32, jit_avx512_amx_I8, acl_f16.
            found = _KERNELS.search(info["primitiveType"].astype(str))
            kernels.add(found[0] if found else "unknown")
    return ExecutionProfile("+".join(sorted(precisions)), "+".join(sorted(kernels)), processor_flags())


def _load_tensorflow(folder: Path, batch_size: int) -> LoadedEngine:
    set_variables({"TF_CPP_MIN_LOG_LEVEL": "2"}, override=False)
    import keras
    import numpy as np
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model: Any = keras.saving.load_model(folder / KERAS_MODEL, compile=False, safe_mode=True)

    def infer(pixels: "np.ndarray") -> "np.ndarray":
        starts = range(0, len(pixels), batch_size)
        parts = [np.asarray(model(pixels[start : start + batch_size], training=False)) for start in starts]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty((0, model.output_shape[-1]), np.float32)

    return LoadedEngine(infer, ExecutionProfile("f32", "tensorflow", processor_flags()), (batch_size,))
