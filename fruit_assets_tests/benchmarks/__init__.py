"""Benchmarks: ratios between this project and other programs or limits.

Put here one module per question (`against_notebook`, `against_limit`, ...) and the modules they share.
Nothing here asserts a time: the tables show the targets beside the figures.
"""
