"""Spark on one machine: the session, Java, and S3 access. What jobs do belongs to the pipeline."""
