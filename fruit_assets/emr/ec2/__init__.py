"""EMR on EC2: clusters, their steps and what their instances cost. The launcher for them is `step_launcher.py`."""
