"""The sub-commands of `fruit-assets`, one per file; loaded when they are called."""
