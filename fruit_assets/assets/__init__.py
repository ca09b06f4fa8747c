"""The assets of the graph, one noun per file: config in, a call into the pipeline, metadata out."""
