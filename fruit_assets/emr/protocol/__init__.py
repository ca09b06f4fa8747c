"""What the orchestrator and the remote step exchange through the staging bucket; imported on both sides."""
