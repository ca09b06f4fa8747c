"""The environment of the processes that export models.

Put here what keeps other people's tools quiet. Settings of the project do not belong here.
"""

import os


def quiet_environment() -> dict[str, str]:
    """This environment, in which OpenVINO's tools send nothing home: they stay silent where `CI` is set."""
    return {**os.environ, "CI": "true"}
