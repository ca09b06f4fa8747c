"""The protocol between the orchestrator and the remote step, over objects in S3; imported on both sides."""
