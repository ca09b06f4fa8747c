"""The sample of the collection: its asset, config and checks."""
