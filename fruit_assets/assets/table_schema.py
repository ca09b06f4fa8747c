"""Column schemas and column lineage of the tables, as the UI shows them.

Put here the columns that several tables share, and how a schema becomes definition-time metadata. The columns of one
table are declared beside its asset.
"""

from collections.abc import Mapping

import dagster as dg

PATH = dg.TableColumn("path", "string", description="Path below the collection's root, '/'-separated. Unique.")
LABEL = dg.TableColumn("label", "string", description="Name of the folder the file lies in.")
SHA256 = dg.TableColumn(
    "sha256", "string", description="SHA-256 of the file's bytes, hex; null when it could not be read."
)

Metadata = dict[str, dg.TableSchema | dg.TableColumnLineage | str]


def table_metadata(
    schema: dg.TableSchema, upstream: str | None = None, origins: Mapping[str, str] | None = None
) -> Metadata:
    """Definition-time metadata of a table asset: schema, lineage of columns, kind of storage.

    Args:
        schema: the table's columns.
        upstream: the asset that the rows are made from; None has no lineage.
        origins: column of `upstream` by column; those that are not named come from the column of the same name.
    """
    metadata: Metadata = {"dagster/column_schema": schema, "dagster/storage_kind": "delta"}
    if upstream is not None:
        key, named = dg.AssetKey(upstream), origins or {}
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column.name: [dg.TableColumnDep(asset_key=key, column_name=named.get(column.name, column.name))]
                for column in schema.columns
            }
        )
    return metadata
