"""What `fruit-assets doctor` looks at: one file for each kind of place, findings in `findings.py`."""
