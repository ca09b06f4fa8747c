"""Spark: starting it on one machine, and running tasks that read and write tables. What tasks compute is elsewhere."""
