"""Batch image features at scale, with lineage: the Dagster code location."""
