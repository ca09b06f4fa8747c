"""Plots: figures, contact sheets and miniatures, from arrays and counts. Dagster is not known here."""
