"""Dagster's side of the storage: tables for assets, commits of what they return.

Put here the resource and the IO manager. An asset stages files, looks at them, and returns a `StagedCommit`; the IO
manager commits it. So what fails its checks is never seen by a reader.
"""

from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

import dagster as dg
from pydantic import PrivateAttr

from fruit_assets.errors import InputError, StorageError
from fruit_assets.object_store.stores import Store, open_store
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.pins import RunPins
from fruit_assets.storage.staging import VersionWriter
from fruit_assets.storage.upkeep import remove_replaced

_CONTINUES = "dagster/is_resume_retry"


class _Tables(dict[str, Table]):
    """Tables by asset, which stay open."""


# By run, and by what its storage was given; forgotten with the resources of the run.
_OF_RUNS: WeakValueDictionary[tuple[str, str], _Tables] = WeakValueDictionary()


class AssetStorage(dg.ConfigurableResource[Any]):
    """Where assets live: `<uri>/<asset>`.

    Attributes:
        uri: a folder or an `s3://` prefix.
        retention_days: how long replaced files stay, for readers and for `fruit-assets restore`.
        sse: server-side encryption asked of S3 on every write.
        kms_key_id: key for `aws:kms`.
    """

    uri: str
    retention_days: int = 7
    sse: str | None = None
    kms_key_id: str | None = None
    _store: Store | None = PrivateAttr(default=None)
    _tables: _Tables = PrivateAttr(default_factory=_Tables)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Share the tables of a run: the IO manager has an `AssetStorage`, and the assets have another."""
        if context.run is not None:
            self._tables = _OF_RUNS.setdefault((context.run.run_id, self.model_dump_json()), self._tables)

    @property
    def store(self) -> Store:
        """The folder of all assets."""
        if self._store is None:
            self._store = open_store(self.uri, self.sse, self.kms_key_id)
        return self._store

    def table(self, asset: str) -> Table:
        if asset not in self._tables:
            self._tables[asset] = Table(self.store.below(asset), timedelta(days=self.retention_days))
        return self._tables[asset]

    def writing(self, asset: str, context: dg.AssetExecutionContext) -> VersionWriter:
        """Where this attempt of this run writes what is to become the next version of `asset`."""
        return VersionWriter(self.table(asset), context.run.run_id, context.op_execution_context.retry_number)

    def pins(self, run: dg.DagsterRun) -> RunPins:
        """What the run reads; one that continues a failed run goes on with what that one read and made."""
        continued = [run.parent_run_id] if run.parent_run_id and run.tags.get(_CONTINUES) == "true" else []
        return RunPins(self.store, [run.run_id, *continued])


class VersionIOManager(dg.ConfigurableIOManager):
    """Commits what assets staged, and hands out the versions that a run reads."""

    storage: dg.ResourceDependency[AssetStorage]
    # Every asset has this IO manager, so whatever these resources do at the start of a run is done before any work.
    run_config_check: dg.ResourceDependency[dg.ConfigurableResource[Any]]
    event_log: dg.ResourceDependency[dg.ConfigurableResource[Any]]

    def handle_output(self, context: dg.OutputContext, obj: StagedCommit) -> None:
        spec = context.asset_spec
        table = self.storage.table(context.asset_key.path[-1])
        version = table.commit(
            obj,
            comments=_comments(context),
            text=(spec.description or "").partition("\n\n")[0],
            code_version=spec.code_version or "",
        )
        self.storage.pins(context.step_context.dagster_run).set(table, version)
        before = obj.base.number if obj.base is not None else None
        committed = version.run_id == context.run_id and version.number != before
        context.add_output_metadata(
            {
                "dagster/uri": version.store.uri,
                "dagster/row_count": version.row_count,
                "table_version": version.number,
                "committed_by_this_run": committed,
                "bytes": version.bytes,
                "files": len(version.files),
                "how_to_read": dg.MetadataValue.md(_how_to_read(version)),
            }
        )
        if committed:
            _tidy(table, context)

    def load_input(self, context: dg.InputContext) -> Version:
        if context.upstream_output is None and not context.has_asset_key:
            raise InputError("Only published assets can be loaded; this input is not one.")
        table = self.storage.table(context.asset_key.path[-1])
        version = self.storage.pins(context.step_context.dagster_run).version_of(table)
        if not version.facts and not version.run_id:
            raise StorageError(
                f"Another program changed the rows of {version}. Materialise {version.name} again, or restore an "
                f"earlier version: fruit-assets restore {version.name} --version NUMBER."
            )
        return version


def _comments(context: dg.OutputContext) -> dict[str, str]:
    schema = (context.definition_metadata or {}).get("dagster/column_schema")
    value = getattr(schema, "value", schema)
    columns = value.columns if isinstance(value, dg.TableSchema) else []
    return {column.name: column.description or "" for column in columns}


def _how_to_read(version: Version) -> str:
    """Two lines for each of the commonest readers; under the 1,000 characters that the UI shows in place."""
    uri, number = version.store.uri, version.number
    return (
        f'```python\nimport polars\npolars.read_delta("{uri}", version={number})\n\n'
        f'from deltalake import DeltaTable  # pandas, or DuckDB: duckdb.sql("from rows")\n'
        f'rows = DeltaTable("{uri}", version={number}).to_pyarrow_table(); rows.to_pandas()\n```'
    )


def _tidy(table: Table, context: dg.OutputContext) -> None:
    try:
        removed = remove_replaced(table)
    except StorageError as error:
        # The new version is out: storage that is not tidy is no reason to fail, and to compute it again.
        context.log.warning(f"Files of old versions of {table.name} stay: {error}")
        return
    if removed:
        context.log.info(f"Removed {removed} files of old versions of {table.name}.")
