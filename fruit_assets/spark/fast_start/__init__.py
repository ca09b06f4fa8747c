"""Measures that make the start of a local run shorter; a run without them gives the same results.

`FRUIT_ASSETS_FAST_START` turns them off, all or some. docs/performance.md lists what each one saves. Put here what pays
at least 0.3 s of a run on 573 images, and nothing that a result depends on.
"""
