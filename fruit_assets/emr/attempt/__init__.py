"""One attempt of one step, in the orchestrator: package, submit, monitor, cancel, report."""
