"""What the benchmarks of scale share: many distinct images, and figures of a run over time.

Put here what `million_images` and `yarn_scaling` are made of. The benchmarks themselves lie one folder up.
"""
