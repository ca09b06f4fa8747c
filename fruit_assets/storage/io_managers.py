"""Dagster's side of the storage: staging for assets, publishing what they return.

Put here the resource and the IO manager. An asset stages a version, looks at it, and returns it; the
IO manager publishes it. So a version that fails its checks is never seen by a reader.
"""

from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from fruit_assets.errors import InputError, StorageError
from fruit_assets.storage.stores import open_store
from fruit_assets.storage.tables import VersionWriter
from fruit_assets.storage.versions import AssetFolder, StagedVersion, Version


class AssetStorage(dg.ConfigurableResource[Any]):
    """Where assets live: `<uri>/<asset>`.

    Attributes:
        uri: a folder or an `s3://` prefix.
        keep_versions: published versions kept per asset.
        sse: server-side encryption asked of S3 on every write.
        kms_key_id: key for `aws:kms`.
    """

    uri: str
    keep_versions: int = 3
    sse: str | None = None
    kms_key_id: str | None = None
    _folders: dict[str, AssetFolder] = PrivateAttr(default_factory=dict)

    def folder(self, asset: str) -> AssetFolder:
        if asset not in self._folders:
            store = open_store(self.uri, self.sse, self.kms_key_id).below(asset)
            self._folders[asset] = AssetFolder(store, self.keep_versions)
        return self._folders[asset]

    def writing(self, asset: str, context: dg.AssetExecutionContext) -> VersionWriter:
        """Where this attempt of this run writes a new version of `asset`."""
        step = context.op_execution_context
        return VersionWriter(self.folder(asset), context.run.run_id, step.retry_number)


class VersionIOManager(dg.ConfigurableIOManager):
    """Publishes staged versions, and hands out published ones."""

    storage: dg.ResourceDependency[AssetStorage]
    # Every asset has this IO manager, so whatever this resource checks is checked before any work.
    run_config_check: dg.ResourceDependency[dg.ConfigurableResource[Any]]

    def handle_output(self, context: dg.OutputContext, obj: StagedVersion) -> None:
        folder = obj.folder
        version = folder.publish(obj)
        manifest = version.manifest
        metadata: dict[str, dg.MetadataValue | str | int] = {
            "dagster/uri": folder.store.uri,
            "version": manifest.version,
            "bytes": sum(file.bytes for file in manifest.files),
            "files": len(manifest.files),
        }
        if manifest.schema:
            metadata["dagster/row_count"] = manifest.row_count
        context.add_output_metadata(metadata)
        _remove_old(folder, context)

    def load_input(self, context: dg.InputContext) -> Version:
        if context.upstream_output is None and not context.has_asset_key:
            raise InputError("Only published assets can be loaded; this input is not one.")
        return self.storage.folder(context.asset_key.path[-1]).current()


def _remove_old(folder: AssetFolder, context: dg.OutputContext) -> None:
    name = context.asset_key.to_user_string()
    try:
        removed = folder.remove_old()
    except StorageError as error:
        # The new version is out: storage that is not tidy is no reason to fail, and to compute it again.
        context.log.warning(f"The old versions of {name} stay: {error}")
        return
    if removed:
        context.log.info(f"Removed {len(removed)} files of old versions of {name}.")
