"""Dagit in a real browser, started and used as a person would."""
