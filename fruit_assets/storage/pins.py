"""The version of each asset that a run reads: its own, or the newest one when the run first read the asset.

Put here how all steps of a run read the same versions while other runs publish. Pins are small objects below
`<storage>/_runs`, because on a cluster each step is a process without the orchestrator's database.
"""

from collections.abc import Sequence

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import RUNS


class RunPins:
    """The pins of one run.

    Args:
        storage: the folder of all assets.
        run_ids: the run; behind it the one that it continues, whose pins hold where it has none.
    """

    def __init__(self, storage: Store, run_ids: Sequence[str]) -> None:
        self._storage = storage
        self._run_ids = run_ids

    def version_of(self, table: Table) -> Version:
        """The version of an asset that this run reads, now and in every later step; raises NotPublishedError."""
        pinned = next((number for run in self._run_ids if (number := self._pinned(run, table)) is not None), None)
        if pinned is not None:
            return table.at(pinned)
        newest = table.current()
        if self._storage.create(_key(self._run_ids[0], table), str(newest.number).encode()):
            return newest
        return self.version_of(table)  # another step of this run was first

    def set(self, table: Table, version: Version) -> None:
        """Let the rest of the run read what it made itself."""
        self._storage.put(_key(self._run_ids[0], table), str(version.number).encode())

    def _pinned(self, run_id: str, table: Table) -> int | None:
        try:
            return int(self._storage.get(_key(run_id, table)))
        except KeyError:
            return None


def _key(run_id: str, table: Table) -> str:
    return f"{RUNS}/{run_id}/{table.name}"
