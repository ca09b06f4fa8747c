from typing import Any

import dagster as dg
from pyspark.sql import DataFrame, SparkSession


class ParquetTables(dg.ConfigurableIOManager):
    """One Parquet table per asset below `root`."""

    root: str

    def handle_output(self, context: dg.OutputContext, table: DataFrame) -> None:
        table.write.mode("overwrite").parquet(self._path(context))
        context.add_output_metadata({"dagster/row_count": table.count()})

    def load_input(self, context: dg.InputContext) -> DataFrame:
        return SparkSession.builder.getOrCreate().read.parquet(self._path(context))

    def _path(self, context: Any) -> str:
        return "/".join([self.root, *context.asset_key.path])
