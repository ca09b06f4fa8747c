"""Components of all features: files of the version before that still hold, and the projection of the other rows.

Put here the projection and what of it can stay. With an unchanged basis a row of components depends on its row of
features alone, so each file of components holds the rows of whole files of features, and names these in its footer.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fruit_assets.analysis.feature_changes import COVERS, changes_since, covered
from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.analysis.pca import PcaModel
from fruit_assets.analysis.refit import Basis
from fruit_assets.spark.reading import ScanOptions, map_files
from fruit_assets.spark.tasks import broadcast, collect
from fruit_assets.spark.this_process import Held, TaskRunner
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, files_schema, stage_written
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.parquet_files import FILES_AT_A_TIME, DataFile, open_parquet
from fruit_assets.storage.recovery import NOTES
from fruit_assets.storage.staging import VersionWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import Broadcast

    from fruit_assets.storage.delta.version import Version

COMPONENTS_SCHEMA = "path string, label string, pca_features array<float>"
# Fact: the shortest and longest row, and how many are broken (NaN or infinite).
MEASURES = "measures"
# Note in the footer of a file of components: the paths of the files of features.
_SOURCES = "features"
_READING = ScanOptions(["path", "label", "features"], rows_per_task=8192, rows_per_batch=2048)
_SCORES_PER_GROUP = 65536
_NOTHING: Mapping[str, Any] = {"shortest": None, "longest": None, "broken": 0}


@dataclass(frozen=True)
class ProjectionPlan:
    """What of the components stays, and what is projected.

    Attributes:
        features: the version whose rows the components shall have.
        kept: files of components that stay.
        measures: of the version that these are from.
        missing: the features, of their files those that no kept file covers.
    """

    features: "Version"
    kept: Sequence[DataFile]
    measures: Mapping[str, Any]
    missing: "Version"

    @property
    def kept_rows(self) -> int:
        return sum(file.rows for file in self.kept)


def plan_projection(features: "Version", before: "Version | None") -> ProjectionPlan:
    """Decide which rows to project.

    Args:
        features: the version of the features.
        before: components of the same basis and of features of the same fingerprint, or None.
    """
    kept, known = _still_valid(features, before) if before is not None else ([], set())
    missing = replace(features, files=tuple(file for file in features.files if file.path not in known))
    measures = before.facts[MEASURES] if before is not None and kept else _NOTHING
    plan = ProjectionPlan(features, kept, measures, missing)
    # Another program may have changed the rows of either.
    whole = plan.kept_rows + missing.row_count == features.row_count
    return plan if whole else ProjectionPlan(features, [], _NOTHING, features)


def project(plan: ProjectionPlan, context: TaskRunner, basis: Basis, writing: VersionWriter) -> "pa.Table":
    """Project the rows that are missing; the workers write `path, label, pca_features`. What `stage` needs of it."""
    target = WriteTarget.of(writing, _SCORES_PER_GROUP, basis.version)
    shared = broadcast(context, basis.model.to_files())

    def project_files(paths: Sequence[str], batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        yield _project_rows(shared, batches, RowWriter(target, lambda: {_SOURCES: paths}))

    return collect(map_files(plan.missing, context, _READING, project_files))


def stage(plan: ProjectionPlan, reports: "pa.Table | None", writing: VersionWriter) -> StagedCommit:
    """Stage what stays and what `project` wrote; None when nothing was missing."""
    files, measures = list(plan.kept), dict(plan.measures)
    if reports is not None:
        files += data_files_from(reports)
        widths = [width for width in reports["width"].to_pylist() if width is not None]
        widths += [measures[name] for name in ("shortest", "longest") if measures[name] is not None]
        measures["shortest"], measures["longest"] = min(widths, default=None), max(widths, default=None)
        measures["broken"] += sum(reports["broken"].to_pylist())
    facts = {MEASURES: measures, COVERS: covered(plan.features)}
    return stage_written(writing, files, COMPONENTS_SCHEMA, facts)


def _still_valid(features: "Version", before: "Version") -> tuple[Sequence[DataFile], set[str]]:
    """The files of components whose rows are all wanted, and the files of features that they cover."""
    changes = changes_since(before, features)
    if changes is not None and not changes.removed.files:
        return before.files, {file.path for file in changes.before.files}
    rows_of = {file.path: file.rows for file in features.files}
    files_of: dict[tuple[str, ...], list[DataFile]] = {}
    for file, sources in zip(before.files, _sources_of(before), strict=True):
        files_of.setdefault(sources, []).append(file)
    kept: list[DataFile] = []
    known: set[str] = set()
    for sources, files in files_of.items():
        complete = bool(sources) and rows_of.keys() >= set(sources)
        if complete and sum(file.rows for file in files) == sum(rows_of[path] for path in sources):
            kept += files
            known.update(sources)
    return kept, known


def _sources_of(components: "Version") -> Iterable[tuple[str, ...]]:
    """For each file the files of features that it holds the rows of; none of files that upkeep has merged."""

    def read(file: DataFile) -> tuple[str, ...]:
        with open_parquet(components.store, file.path) as parquet:
            metadata = parquet.metadata.metadata or {}
        return tuple(json.loads(metadata.get(NOTES, b"{}")).get(_SOURCES, ()))

    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        return list(pool.map(read, components.files))


def _project_rows(
    shared: "Held | Broadcast[dict[str, bytes]]", batches: "Iterable[pa.RecordBatch]", writer: RowWriter
) -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    model, width, broken = PcaModel.from_files(shared.value), None, 0
    for batch in batches:
        scores = model.project(feature_matrix(batch.column("features"))).astype(np.float32)
        width = scores.shape[1]
        broken += int((~np.isfinite(scores).all(axis=1)).sum())
        offsets = np.arange(0, scores.size + 1, width, dtype=np.int32)
        column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores.reshape(-1)))
        columns = [batch.column("path"), batch.column("label"), column]
        writer.write(pa.RecordBatch.from_arrays(columns, ["path", "label", "pca_features"]))
    reports = {"files": [writer.close()], "width": [width], "broken": [broken]}
    schema = files_schema(pa.field("width", pa.int64()), pa.field("broken", pa.int64()))
    return pa.RecordBatch.from_pydict(reports, schema)
