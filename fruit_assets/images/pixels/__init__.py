"""What pixels become: opening files, their faults, colours, depths, sizes. `images/decoding.py` puts it together."""
