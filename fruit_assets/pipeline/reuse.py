"""What a run may take over from the version before it, decided on keys alone.

Put here the bookkeeping that makes sure no image is inferred twice: neither one that an earlier run
featurised with the same extractor, nor the second of two identical files. Keys are a few hundred bytes
per image; no image byte and no feature is touched here.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from fruit_assets.storage.versions import Version

# Column that names the rows which get the features of another.
COPIES = "copies"
_KEYS = ["path", "label", "sha256"]


@dataclass(frozen=True)
class ReusePlan:
    """Which rows of a sample are computed, copied within the run, or reused from the previous version.

    Attributes:
        sample_keys: `path, label, sha256` of the sample.
        previous: the version rows are reused from; None when nothing can be.
        known_paths: for each reused row, by its index in the sample, the previous version's path of the same bytes.
        computed_paths: for each remaining row, by its index in the sample, the path that is computed for it.
        unchanged: the sample has exactly the rows of the previous version.
    """

    sample_keys: "pa.Table"
    previous: "Version | None"
    known_paths: dict[int, str]
    computed_paths: dict[int, str]
    unchanged: bool

    @property
    def reused_count(self) -> int:
        return len(self.known_paths)

    @property
    def compute_count(self) -> int:
        """Images that go through the network: distinct bytes not known from the previous version."""
        return len(set(self.computed_paths.values()))

    @property
    def has_duplicates(self) -> bool:
        return self.compute_count < len(self.computed_paths)

    @property
    def computes_everything(self) -> bool:
        return self.compute_count == int(self.sample_keys.num_rows)

    def to_compute(self) -> "pa.Table":
        """One row per image that goes through the network: its `path`, and its `copies`.

        These are the `path, label` of the other rows of the sample with the same bytes; null where there are none.
        """
        import pyarrow as pa

        paths, labels = (self.sample_keys[name].to_pylist() for name in ("path", "label"))
        copies: dict[str, list[dict[str, str]]] = {}
        for index, computed in self.computed_paths.items():
            if paths[index] != computed:
                copies.setdefault(computed, []).append({"path": paths[index], "label": labels[index]})
        computed_paths = sorted(set(self.computed_paths.values()))
        kind = pa.list_(pa.struct([("path", pa.string()), ("label", pa.string())]))
        columns = pa.array(computed_paths, pa.string()), pa.array([copies.get(path) for path in computed_paths], kind)
        return pa.table(dict(zip(("path", COPIES), columns, strict=True)))

    def reused(self) -> "pa.Table":
        """`path, label, sha256, known_path` of every row whose features exist."""
        return self._rows(self.known_paths, "known_path")

    def with_duplicates(self, rejected: "pa.Table") -> "pa.Table":
        """Give every path of a set of identical files the reason why the computed one was rejected."""
        if not self.has_duplicates or not rejected.num_rows:
            return rejected.sort_by("path")
        reasons = rejected.select(["path", "reason"]).rename_columns(["computed_path", "reason"])
        members = self._rows(self.computed_paths, "computed_path").join(reasons, "computed_path", join_type="inner")
        return members.select([*_KEYS, "reason"]).sort_by("path")

    def _rows(self, paths: dict[int, str], name: str) -> "pa.Table":
        import pyarrow as pa

        taken = self.sample_keys.take(pa.array(list(paths), pa.int64()))
        return taken.append_column(name, pa.array(list(paths.values()), pa.string()))


def plan_reuse(sample: "Version", previous: "Version | None", rejected: "Version | None") -> ReusePlan:
    """Decide which rows of a sample need the network.

    Args:
        sample: the published sample.
        previous: features of an earlier run with the same fingerprint, or None.
        rejected: the rejected images that belong to `previous`, or None.
    """
    keys = sample.read_table(_KEYS)
    known = previous.read_table(_KEYS) if previous is not None else None
    path_of = (
        dict(zip(known["sha256"].to_pylist(), known["path"].to_pylist(), strict=True)) if known is not None else {}
    )
    known_paths: dict[int, str] = {}
    computed_paths: dict[int, str] = {}
    first_with: dict[str, str] = {}
    for index, (path, digest) in enumerate(zip(keys["path"].to_pylist(), keys["sha256"].to_pylist(), strict=True)):
        if digest in path_of:
            known_paths[index] = path_of[digest]
        elif digest is None:
            computed_paths[index] = path
        else:
            computed_paths[index] = first_with.setdefault(digest, path)
    unchanged = known is not None and rejected is not None and _same_rows(keys, known, rejected.read_table(_KEYS))
    return ReusePlan(keys, previous if known_paths or unchanged else None, known_paths, computed_paths, unchanged)


def _same_rows(keys: "pa.Table", featurised: "pa.Table", rejected: "pa.Table") -> bool:
    def rows(table: "pa.Table") -> list[tuple[str, ...]]:
        return list(zip(*(table[name].to_pylist() for name in _KEYS), strict=True))

    if keys.num_rows != featurised.num_rows + rejected.num_rows:
        return False
    return set(rows(keys)) == set(rows(featurised)) | set(rows(rejected))
