"""S3 as a place for objects: what URIs name, how a process gets there, and what is asked of it."""
