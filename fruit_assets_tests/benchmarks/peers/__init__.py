"""The programs that `against_peers.py` compares with this project's, and how they are measured.

One file `on_*.py` per peer, as a user of that library would write it. They run in their own environment, without
`fruit_assets`.
"""
