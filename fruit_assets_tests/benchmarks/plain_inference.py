"""Pixels and features with plain libraries: PIL, the exported OpenVINO model, one thread.

Put here what the limit and the peers call for every image, independent of the project's pipeline. Reading
images and starting processes belongs to them.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SIDE = 224
# Images per inference that cost one thread the least. Median milliseconds per image at 1, 2 and 4 images, on a
# processor with AVX-512: f32 3.1, 3.3, 3.4; bf16 1.74, 1.77, 1.82; int8 1.39, 1.36, 1.37.
BATCH_SIZES = {"f32": 1, "bf16": 1, "int8": 4}
_INT8_MODEL = "extractor-int8.xml"


def pixels_of(content: bytes, side: int) -> "np.ndarray":
    """(side, side, 3) uint8, resized as the notebook does it."""
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


def compiled(model: str, side: int, precision: str, batch_size: int) -> "Callable[[np.ndarray], np.ndarray]":
    """The exported model for one thread: uint8 pixels (batch_size, side, side, 3) to features, which the next call
    overwrites."""
    import numpy as np
    import openvino as ov

    core = ov.Core()
    # The int8 model is in the same folder; its operations that are not quantised run at f32.
    network = core.read_model(Path(model).with_name(_INT8_MODEL) if precision == "int8" else model)
    network.reshape([batch_size, side, side, 3])
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(network, "CPU", settings).create_infer_request()

    def infer(pixels: "np.ndarray") -> "np.ndarray":
        request.infer(pixels, share_inputs=True)
        return np.asarray(request.get_output_tensor().data)

    return infer


class PlainExtractor:
    """Bytes of images to features, for a worker that keeps it from batch to batch.

    Args:
        model: path of the exported OpenVINO model, uint8 pixels in.
        precision: `f32`, `bf16` or `int8`.
    """

    def __init__(self, model: str, precision: str) -> None:
        import numpy as np

        batch_size = BATCH_SIZES[precision]
        self._infer = compiled(model, SIDE, precision, batch_size)
        self._pixels = np.zeros((batch_size, SIDE, SIDE, 3), np.uint8)

    def features(self, contents: Sequence[bytes]) -> "np.ndarray":
        """(n, 1280) float32 of n images."""
        import numpy as np

        parts = []
        batch_size = len(self._pixels)
        for start in range(0, len(contents), batch_size):
            batch = contents[start : start + batch_size]
            for row, content in enumerate(batch):
                self._pixels[row] = pixels_of(content, SIDE)
            parts.append(self._infer(self._pixels)[: len(batch)].copy())
        return np.concatenate(parts)
