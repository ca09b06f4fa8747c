"""The peer on ONNX Runtime: the pool of processes of `on_processes.py` with another engine in them.

Put here what a user of ONNX Runtime would write, and nothing of ours; it runs alone, as `python -m ... IMAGES OUT
--network MODEL`. The network becomes ONNX in `onnx_model.py`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.peers.job import job_from, write_components
from fruit_assets_tests.benchmarks.peers.on_processes import Features, write_features
from fruit_assets_tests.benchmarks.peers.onnx_model import onnx_file
from fruit_assets_tests.benchmarks.plain_inference import SIDE, pixels_of

if TYPE_CHECKING:
    import numpy as np

# One image costs least at both precisions: 3.8 and 1.8 ms, with 16 at once 5.2 and 2.1.
_BATCH_SIZE = 1


def load(network: str, precision: str) -> Features:
    """The converted network for one thread, as the documentation of thread management sets it."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    file = onnx_file(Path(network), precision)
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    [name] = [given.name for given in session.get_inputs()]
    size = _BATCH_SIZE

    def features(contents: Sequence[bytes]) -> "np.ndarray":
        parts = []
        for start in range(0, len(contents), size):
            pixels = np.stack([pixels_of(content, SIDE) for content in contents[start : start + size]])
            parts.append(session.run(None, {name: pixels})[0])
        return np.concatenate(parts)

    return features


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    write_features(job, load)
    write_components(job)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
