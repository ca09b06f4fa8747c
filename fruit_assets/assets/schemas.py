"""Column schemas and column lineage of the tables, as the UI shows them.

Put here names, types and descriptions of columns. How they are computed belongs to the pipeline.
"""

import dagster as dg

_PATH = dg.TableColumn("path", "string", description="Path below the collection's root, '/'-separated. Unique.")
_LABEL = dg.TableColumn("label", "string", description="Name of the folder the file lies in.")
_SHA256 = dg.TableColumn(
    "sha256", "string", description="SHA-256 of the file's bytes, hex; null when it could not be read."
)

SCHEMAS = {
    "sampled_images": dg.TableSchema(
        [
            _PATH,
            _LABEL,
            _SHA256,
            dg.TableColumn("content", "binary", description="The file's bytes; null when it could not be read."),
        ]
    ),
    "image_features": dg.TableSchema(
        [
            _PATH,
            _LABEL,
            _SHA256,
            dg.TableColumn("features", "array<float>", description="1280 averages of the last convolution."),
        ]
    ),
    "rejected_images": dg.TableSchema(
        [_PATH, _LABEL, _SHA256, dg.TableColumn("reason", "string", description="Why the image could not be used.")]
    ),
    "pca_components": dg.TableSchema(
        [
            _PATH,
            _LABEL,
            dg.TableColumn("pca_features", "array<float>", description="Scores along the k principal components."),
        ]
    ),
}

_ORIGINS = {
    "image_features": {"path": ["path"], "label": ["label"], "sha256": ["sha256"], "features": ["content"]},
    "rejected_images": {"path": ["path"], "label": ["label"], "sha256": ["sha256"], "reason": ["content"]},
    "pca_components": {"path": ["path"], "label": ["label"], "pca_features": ["features"]},
}
_UPSTREAM = {
    "image_features": "sampled_images",
    "rejected_images": "sampled_images",
    "pca_components": "image_features",
}


def table_metadata(asset: str) -> dict[str, dg.TableSchema | dg.TableColumnLineage | str]:
    """Definition-time metadata of a table asset: schema, lineage of columns, kind of storage."""
    metadata: dict[str, dg.TableSchema | dg.TableColumnLineage | str] = {
        "dagster/column_schema": SCHEMAS[asset],
        "dagster/storage_kind": "parquet",
    }
    if asset in _ORIGINS:
        upstream = dg.AssetKey(_UPSTREAM[asset])
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(asset_key=upstream, column_name=origin) for origin in origins]
                for column, origins in _ORIGINS[asset].items()
            }
        )
    return metadata
