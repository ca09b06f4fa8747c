"""Registration of the tables in AWS Glue's catalog, for Athena, EMR and Redshift.

Put here registration. Glue has the location and the columns of each table; files and versions are read from the log,
so nothing needs to be registered again after a run.
"""

from collections.abc import Iterable
from typing import Any

from fruit_assets.errors import InputError, StorageError
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version

# How Athena's engine 3 and Spark know a Delta table.
_DELTA = {"table_type": "DELTA", "spark.sql.sources.provider": "delta", "EXTERNAL": "TRUE"}


def register(glue: Any, database: str, tables: Iterable[Table]) -> dict[str, str]:
    """Create or update the entries of published tables; returns the location of each by name.

    Args:
        glue: boto3's client.
        database: of the catalog; created when absent.
        tables: the assets'; those that have not been published are left out.

    Raises:
        InputError: a table is not on S3.
        StorageError: Glue refuses.
    """
    from botocore.exceptions import ClientError

    versions = [version for table in tables if (version := table.current_or_none()) is not None]
    if local := [version.store.uri for version in versions if not version.store.uri.startswith("s3://")]:
        raise InputError(f"Glue knows tables on S3 alone, and {local[0]} is a folder. Set FRUIT_ASSETS_STORAGE.")
    try:
        _create_database(glue, database)
        for version in versions:
            _put_table(glue, database, version)
    except ClientError as error:
        raise StorageError(f"Cannot register the tables in Glue's database {database}: {error}") from error
    return {version.name: version.store.uri for version in versions}


def _create_database(glue: Any, database: str) -> None:
    try:
        glue.get_database(Name=database)
    except glue.exceptions.EntityNotFoundException:
        glue.create_database(DatabaseInput={"Name": database})


def _put_table(glue: Any, database: str, version: Version) -> None:
    columns = [{"Name": column.name, "Type": column.type, "Comment": column.comment} for column in version.columns]
    table = {
        "Name": version.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": _DELTA,
        "StorageDescriptor": {"Location": f"{version.store.uri}/", "Columns": columns},
    }
    try:
        glue.update_table(DatabaseName=database, TableInput=table)
    except glue.exceptions.EntityNotFoundException:
        glue.create_table(DatabaseName=database, TableInput=table)
