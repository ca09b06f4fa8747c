"""Keys of images and rows on local disk: joins, counts and sorts of many millions, in bounded memory.

Put here the tables that plans are computed from. The plans belong in `images/` and `features/`, published tables in
`storage/`.
"""
