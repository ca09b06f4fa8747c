"""Spark on one machine: how it starts, Java, and S3 access. What jobs do belongs to the pipeline."""
