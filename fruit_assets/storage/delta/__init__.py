"""A Delta table: its log, its versions, and the one way to commit. What fills it is the business of the callers."""
