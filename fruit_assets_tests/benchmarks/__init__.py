"""Benchmarks: ratios between this project and what it is measured against.

Put here one module per question (`against_notebook`, `against_limit`, ...) and the modules they share.
Nothing here asserts a time: the tables name the targets, and people read them.
"""
