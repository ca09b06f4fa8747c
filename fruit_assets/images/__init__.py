"""Images: listing a collection, sampling it, decoding and resizing. No Spark session, no model."""
