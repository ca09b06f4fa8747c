"""The peer in the pattern of img2dataset and clip-retrieval: tar shards first, then batches to NumPy files.

Put here that pattern and nothing of ours; it runs alone, as `python -m ... IMAGES OUT --network MODEL`. The packages
themselves download images and run CLIP on torch; packing, layout and division of labour are theirs.
"""

import io
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.peers.job import (
    FEATURES,
    PeerJob,
    job_from,
    path_and_label,
    rows,
    write_components_of,
)
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# img2dataset's own 10,000 would leave cores without a shard.
_IMAGES_PER_SHARD = 1000
_BATCH_SIZE = 64
_SHARDS, _METADATA, _EMBEDDINGS = "shards", "metadata", "img_emb"
# Of this process: set once, when the pool starts it.
_extractor: PlainExtractor


def pack(job: PeerJob) -> None:
    """Write the images as tar shards: `<key>.jpg` and `<key>.json` per image, bytes as they are (`resize_mode=no`)."""
    folder = job.out / _SHARDS
    folder.mkdir(parents=True)
    files = (folder / f"{number:05}.tar" for number in count())
    with ProcessPoolExecutor(job.workers) as pool:
        for _ in pool.map(_pack_shard, repeat(job.images), job.chunks_of(_IMAGES_PER_SHARD), files):
            pass


def _pack_shard(images: Path, chunk: Sequence[str], shard: Path) -> None:
    with tarfile.open(shard, "w") as archive:
        for number, file in enumerate(chunk):
            path, label = path_and_label(images, file)
            labels = json.dumps({"path": path, "label": label}).encode()
            for suffix, content in (("jpg", Path(file).read_bytes()), ("json", labels)):
                member = tarfile.TarInfo(f"{shard.stem}{number:05}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def infer(job: PeerJob) -> None:
    """Write `img_emb/img_emb_<shard>.npy` and `metadata/metadata_<shard>.parquet` of every shard."""
    for name in (_METADATA, _EMBEDDINGS):
        (job.out / name).mkdir()
    shards = sorted((job.out / _SHARDS).iterdir())
    with ProcessPoolExecutor(job.workers, initializer=_start, initargs=(job.network, job.precision)) as pool:
        for _ in pool.map(_infer_shard, repeat(job), shards):
            pass


def _start(network: str, precision: str) -> None:
    global _extractor
    _extractor = PlainExtractor(network, precision)


def _infer_shard(job: PeerJob, shard: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata, parts = [], []
    for batch in _batches(shard, job.batch_size or _BATCH_SIZE):
        parts.append(_extractor.features([image for image, _ in batch]))
        metadata += [one for _, one in batch]
    np.save(job.out / _EMBEDDINGS / f"img_emb_{shard.stem}.npy", np.concatenate(parts))
    pq.write_table(pa.Table.from_pylist(metadata), job.out / _METADATA / f"metadata_{shard.stem}.parquet")


def _batches(shard: Path, size: int) -> Iterator[list[tuple[bytes, dict[str, str]]]]:
    batch, image = [], b""
    with tarfile.open(shard) as archive:
        for member in archive:
            opened = archive.extractfile(member)
            content = opened.read() if opened else b""
            if member.name.endswith(".jpg"):
                image = content
                continue
            batch.append((image, json.loads(content)))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def read(out: Path) -> "tuple[pa.Table, np.ndarray]":
    """`path, label` and the features (n, d) of what `infer` left."""
    import numpy as np
    import pyarrow.parquet as pq

    arrays = [np.load(file) for file in sorted((out / _EMBEDDINGS).iterdir())]
    return pq.read_table(out / _METADATA), np.concatenate(arrays)


def read_table(out: Path) -> "pa.Table":
    """The same as one table of `path, label, features`."""
    metadata, features = read(out)
    paths, labels = (metadata.column(name).to_pylist() for name in ("path", "label"))
    return rows(paths, labels, features).select(["path", FEATURES])


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    pack(job)
    infer(job)
    write_components_of(job, *read(job.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
