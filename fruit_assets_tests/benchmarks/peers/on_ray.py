"""The peer on Ray Data: files to features through a pool of actors, as its guide to batch inference does it.

Put here what a user of Ray Data would write; run it as `python -m ... IMAGES OUT --network MODEL`. Code that all
peers share is in `job.py`.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.peers.job import PeerJob, job_from, path_and_label, rows, write_components
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

if TYPE_CHECKING:
    import pyarrow as pa

# Decoding in the actors costs as much processor time as `read_images` with its own resize before them (4.8 and
# 4.7 s for 400 images), and sends 7 KB per image through the object store instead of 150.
_BATCH_SIZE = 64
# The actors take three quarters of each core's slot, so that tasks that read and write find one beside them.
_ACTOR_CPUS, _TASK_CPUS = 0.75, 0.25
# Ray Data's default are four blocks for 400 images and eleven for 2,000: one actor would wait for the other's last.
_BLOCKS_PER_WORKER, _IMAGES_PER_BLOCK = 8, 256


class Extract:
    """The actor: keeps its extractor from batch to batch."""

    def __init__(self, job: PeerJob) -> None:
        self._job = job
        self._extractor = PlainExtractor(job.network, job.precision)

    def __call__(self, batch: Mapping[str, Any]) -> "pa.Table":
        named = [path_and_label(self._job.images, file) for file in batch["path"]]
        features = self._extractor.features(batch["bytes"])
        return rows([path for path, _ in named], [label for _, label in named], features)


def write_features(job: PeerJob) -> None:
    import ray
    import ray.data

    files = ray.data.read_binary_files(
        str(job.images),
        include_paths=True,
        file_extensions=["jpg"],
        num_cpus=_TASK_CPUS,
        override_num_blocks=blocks(sum(1 for _ in job.images.rglob("*.jpg")), job.workers),
    )
    features = files.map_batches(
        Extract,
        fn_constructor_args=(job,),
        batch_size=job.batch_size or _BATCH_SIZE,
        compute=ray.data.ActorPoolStrategy(size=job.workers),
        num_cpus=_ACTOR_CPUS,
    )
    features.write_parquet(str(job.features_folder), ray_remote_args={"num_cpus": _TASK_CPUS})


def blocks(images: int, workers: int) -> int:
    """Blocks to read the images in: enough for the workers to end together, and none of a few images."""
    return max(min(images, _BLOCKS_PER_WORKER * workers), images // _IMAGES_PER_BLOCK)


def main(arguments: Sequence[str]) -> int:
    import ray

    job = job_from(arguments)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=job.workers, include_dashboard=False, _temp_dir=folder)
        write_features(job)
        ray.shutdown()
    write_components(job)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
