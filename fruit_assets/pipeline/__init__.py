"""The work itself: Spark, numpy and model code that is useful without Dagster."""
