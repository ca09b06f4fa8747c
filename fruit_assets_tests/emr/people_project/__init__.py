"""The example of docs/launcher.md: a table of people, filtered by PySpark on EMR."""
