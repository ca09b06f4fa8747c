"""The moments of all features, from those stored with the version before and the rows that came and went.

Put here what is stored, and when all rows are read again. Rows that were only copied to another file are found by their
keys and left out, so that nothing is taken away and added again. The pass over the rows is in `moments_pass.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fruit_assets.analysis.feature_changes import COVERS, FeatureChanges, changes_since, covered
from fruit_assets.analysis.moments import Moments
from fruit_assets.analysis.moments_pass import compute_moments, moments_of_rows, row_keys
from fruit_assets.spark.this_process import TaskRunner
from fruit_assets.storage.artifacts import array_bytes, read_array

if TYPE_CHECKING:
    from fruit_assets.storage.delta.version import Version

# Gives what runs tasks on so many rows of so many bytes together.
RunnerFor = Callable[[int, float], TaskRunner]
# Name of the artifact that holds the moments.
MOMENTS = "moments.npy"
# Fact: what was done to the stored moments since all rows were read.
HISTORY = "moments"
# Every merge rounds; this many, and the rows taken away, stay far below 1e-6.
MOST_UPDATES = 100
MOST_SUBTRACTED = 0.1
# Keys of rows that the driver and every worker hold: some 25 MB.
_MOST_KEYS = 200_000


@dataclass(frozen=True)
class MomentsOfAll:
    """Moments of all features, and how they came about.

    Attributes:
        moments: of all rows.
        new: of the rows that the version before does not cover; None when there are none.
        removed: rows taken away.
        updates: how often rows were added or taken away since all were read; 0 when they have just been.
        subtracted: rows taken away since then.
        covers: the version of the features.
        reads_all: whether all rows were read for them.
    """

    moments: Moments
    new: Moments | None
    removed: int
    updates: int
    subtracted: int
    covers: "Version"
    reads_all: bool

    def to_files(self) -> dict[str, bytes]:
        return {MOMENTS: array_bytes(self.moments.to_array())}

    def facts(self) -> dict[str, Any]:
        history = {"updates": self.updates, "subtracted": self.subtracted}
        return {COVERS: covered(self.covers), HISTORY: history}


@dataclass(frozen=True)
class MomentsPlan:
    """What has to be read for the moments of `features`.

    Attributes:
        features: the version.
        stored: a version of the model whose moments can be built on, or None.
        changes: how `features` differ from what these cover; None when all rows must be read.
    """

    features: "Version"
    stored: "Version | None"
    changes: FeatureChanges | None

    @property
    def reads_rows(self) -> bool:
        """Whether Spark is needed."""
        return self.changes is None or bool(self.changes.added.files or self.changes.removed.files)

    def stored_only(self) -> MomentsOfAll:
        """The moments as they are stored; only where no rows need to be read."""
        assert self.stored is not None  # noqa: S101  without, all rows are read
        history = self.stored.facts[HISTORY]
        stored = _stored_moments(self.stored)
        return MomentsOfAll(stored, None, 0, history["updates"], history["subtracted"], self.features, reads_all=False)

    def run(self, runner_for: RunnerFor) -> MomentsOfAll:
        """Read what is needed, with a runner for as many rows; raises InputError when there are no rows."""
        if self.changes is None or self.stored is None:
            return self._of_all(runner_for, None, 0)
        added, removed = self.changes.added, self.changes.removed
        context = runner_for(added.row_count + removed.row_count, added.bytes + removed.bytes)
        both = bool(added.files and removed.files)
        # Rows of both are the same rows in another file.
        new = moments_of_rows(added, context, row_keys(removed) if both else None) if added.files else None
        taken = moments_of_rows(removed, context, row_keys(added) if both else None) if removed.files else None
        history, lost = self.stored.facts[HISTORY], taken.count if taken else 0
        updates, subtracted = history["updates"] + 1, history["subtracted"] + lost
        if updates > MOST_UPDATES or subtracted > MOST_SUBTRACTED * self.features.row_count:
            return self._of_all(runner_for, new, lost)
        moments: Moments | None = _stored_moments(self.stored)
        if moments is not None and new is not None:
            moments = moments.merge(new)
        if moments is not None and taken is not None:
            moments = moments.without(taken)
        if moments is None or moments.count != self.features.row_count:
            return self._of_all(runner_for, new, lost)
        return MomentsOfAll(moments, new, lost, updates, subtracted, self.features, reads_all=False)

    def _of_all(self, runner_for: RunnerFor, new: Moments | None, lost: int) -> MomentsOfAll:
        moments = compute_moments(self.features, runner_for(self.features.row_count, self.features.bytes))
        return MomentsOfAll(
            moments, moments if self.changes is None else new, lost, 0, 0, self.features, reads_all=True
        )


def _stored_moments(version: "Version") -> Moments:
    return Moments.of_array(read_array(version, MOMENTS))


def plan_moments(features: "Version", stored: "Version | None") -> MomentsPlan:
    """Decide which rows to read.

    Args:
        features: the version whose moments are wanted.
        stored: a version of the model for features of the same fingerprint, or None.
    """
    changes = changes_since(stored, features) if stored is not None and HISTORY in stored.facts else None
    return MomentsPlan(features, stored, changes if changes is not None and _can_be_read(changes) else None)


def _can_be_read(changes: FeatureChanges) -> bool:
    """Whether the rows that went can still be read, and are few enough to compare by their keys."""
    if not changes.removed.files:
        return True
    return max(changes.added.row_count, changes.removed.row_count) <= _MOST_KEYS and changes.removed.is_intact()
