"""Dagster steps on Amazon EMR: a library for AWS and Dagster, independent of what the steps compute.

Put here the step launcher and its parts. It imports nothing of the project around it, so any Dagster
project can use it: see `docs/launcher.md`.
"""
