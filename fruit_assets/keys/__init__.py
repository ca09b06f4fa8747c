"""Keys of images and rows on local disk: joins, counts and orders of many millions, in bounded memory.

Put here what plans are made on. The plans belong in `images/` and `features/`, what is published in `storage/`.
"""
