"""Dagster steps on Amazon EMR: what knows AWS and Dagster, and nothing of what the steps compute.

Put here the step launcher and its parts, one noun a file. Assets, images and models do not belong here.
"""
