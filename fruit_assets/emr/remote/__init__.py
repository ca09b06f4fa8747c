"""What runs on the node: start the shipped code, run the step, send its events and output."""
