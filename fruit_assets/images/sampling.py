"""Which images are in the sample: a choice that depends on paths and a seed alone.

Put here the choice, of any number of images. Listing belongs in `listing.py`, fetching what was chosen in
`fetching.py`.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError
from fruit_assets.images.listing import class_counts
from fruit_assets.keys.key_table import BATCH_ROWS, KeyTable

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_PATHS_AT_A_TIME = 8192


@dataclass(frozen=True)
class SamplePlan:
    """How much of every class to take.

    Attributes:
        fraction: share of each class, in (0, 1].
        min_per_class: images kept of every class at least, as far as it has them.
        max_per_class: images kept of every class at most; None for no limit.
        seed: another seed, another sample.
    """

    fraction: float = 0.01
    min_per_class: int = 1
    max_per_class: int | None = None
    seed: int = 0

    def size_of_class(self, available: int) -> int:
        """Images to take of a class of `available` images: the rounded share, within the limits."""
        wanted = max(math.floor(self.fraction * available + 0.5), self.min_per_class)
        if self.max_per_class is not None:
            wanted = min(wanted, self.max_per_class)
        return min(wanted, available)


def choose(files: KeyTable, plan: SamplePlan) -> KeyTable:
    """The chosen rows of a listing (`path, label, ...`), in its order.

    Every image has a rank within its class that depends on the seed and its path alone, and a class
    gives its lowest ranks. So the choice does not depend on listing order, machine or storage, and a
    larger fraction only adds images.
    """
    import numpy as np
    import pyarrow as pa

    counts = class_counts(files)
    available = np.array(list(counts.values()), np.int64)
    wanted = np.array([plan.size_of_class(count) for count in counts.values()], np.int64)
    if (wanted == available).all():
        return files
    labels = pa.array(counts, pa.string())
    ranks = KeyTable.of(_ranks(files, labels, plan.seed), files.database)
    highest = _at(ranks, np.cumsum(available) - available + wanted - 1)
    chosen = KeyTable.of(_not_above(files, ranks, highest), files.database)
    files.database.drop(ranks)
    return chosen


def _ranks(files: KeyTable, labels: "pa.Array", seed: int) -> "pa.RecordBatchReader":
    """`label, high, low` of every file: the number of its label, and a rank as good as drawn at random for its path."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    key = str(seed).encode()
    schema = pa.schema([("label", pa.int32()), ("high", pa.uint64()), ("low", pa.uint64())])

    def batches() -> "Iterator[pa.RecordBatch]":
        for batch in files.batches(["path", "label"]):
            paths = batch["path"].to_pylist()
            digests = b"".join([hashlib.blake2b(path.encode(), digest_size=16, key=key).digest() for path in paths])
            ranks = np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2)
            numbers = pc.index_in(batch["label"], labels)
            yield pa.RecordBatch.from_arrays([numbers, ranks[:, 0], ranks[:, 1]], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _at(ranks: KeyTable, places: "np.ndarray") -> "np.ndarray":
    """(n, 2) uint64: the ranks at these sorted places, counted by label and rank."""
    import numpy as np

    found, first = [], 0
    for batch in ranks.batches(["high", "low"], order_by="label, high, low"):
        start, end = np.searchsorted(places, [first, first + batch.num_rows])
        found.append(np.stack([column.to_numpy()[places[start:end] - first] for column in batch.columns], axis=1))
        first += batch.num_rows
    return np.concatenate(found)


def _not_above(files: KeyTable, ranks: KeyTable, highest: "np.ndarray") -> "pa.RecordBatchReader":
    """The files whose rank is not above the highest that their label gives."""
    import pyarrow as pa

    def batches() -> "Iterator[pa.RecordBatch]":
        columns = ["label", "high", "low"]
        both = zip(files.chunks(["*"], BATCH_ROWS), ranks.chunks(columns, BATCH_ROWS), strict=True)
        for rows, ranked in both:
            label, high, low = (ranked[name].to_numpy() for name in columns)
            most_high, most_low = highest[label].T
            taken = (high < most_high) | ((high == most_high) & (low <= most_low))
            yield from rows.filter(pa.array(taken)).to_batches()

    return pa.RecordBatchReader.from_batches(files.batches().schema, batches())


def content_digest(keys: KeyTable) -> str:
    """A digest of `path, label, sha256` of a sample, independent of the order of its rows."""
    digest, before = hashlib.sha256(b"["), ""
    for batch in keys.batches(["path", "label", "sha256"], order_by="path"):
        for start in range(0, batch.num_rows, _PATHS_AT_A_TIME):
            columns = batch.slice(start, _PATHS_AT_A_TIME).columns
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            digest.update((before + ", ".join(map(repr, rows))).encode())
            before = ", "
    digest.update(b"]")
    return digest.hexdigest()[:32]


def require_enough(images: int) -> None:
    """Raise InputError when the sample is too small for anything to be made of it."""
    if images < 2:
        raise InputError(
            f"The sample holds {images} image(s); components need at least 2. "
            "Raise `fraction` or `min_per_class` of sampled_images."
        )
