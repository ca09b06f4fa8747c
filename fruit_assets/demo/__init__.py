"""Demo images, rendered or downloaded, for people without a collection."""
