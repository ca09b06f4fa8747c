"""Places for storage tests: a folder and a bucket, the same tests on both."""

from pathlib import Path

import pytest

# Everything that has a meaning somewhere: to Hadoop globs, to URLs, to partition discovery.
AWKWARD = "année 2026 #1 [fruit]=50%, {all}+ô"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URI to store at, with a name that is hard to handle."""
    if request.param == "folder":
        return str(tmp_path / AWKWARD)
    return f"s3://{request.getfixturevalue('bucket')}/{AWKWARD}"
