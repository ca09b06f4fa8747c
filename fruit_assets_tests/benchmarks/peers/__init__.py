"""The programs that `against_peers.py` sets beside ours, and what measures them.

One file `on_*.py` per peer: what a user of that library would write. They run in an environment of their own, without
`fruit_assets`.
"""
