"""EMR Serverless behind the launcher's `Compute` interface: applications, and job runs as steps."""
