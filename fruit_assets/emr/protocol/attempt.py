"""The names of one attempt: its prefix in the staging bucket and the name of its step on EMR.

Put here how names are built and parsed, so that two attempts never share one.
"""

import hashlib
import re
from dataclasses import dataclass

_PREFIX = "dagster"
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.]{1,60}")


@dataclass(frozen=True)
class Attempt:
    """One try of one step of one run; `number` counts from 1, `name` is unique below the step."""

    run_id: str
    step_key: str
    number: int
    name: str

    @property
    def prefix(self) -> str:
        return f"runs/{self.run_id}/{self._plain_key}/{self.name}"

    @property
    def label(self) -> str:
        """Unique within the run, and valid as a file name."""
        return f"{self._plain_key}-{self.name}"

    @property
    def step_name(self) -> str:
        """The name of the step on EMR, unique to the attempt, so that unanswered submissions and orphans are found."""
        return f"{_PREFIX}/{self.run_id}/{self._plain_key}/{self.name}"

    @property
    def _plain_key(self) -> str:
        """The step key. If it is long or has brackets (dynamic steps): shortened, plain, and with a hash of the whole.

        EMR cuts names at 150 characters. Step keys hold no hyphen, so a key with a hash equals no other key.
        """
        if _PLAIN_KEY.fullmatch(self.step_key):
            return self.step_key
        digest = hashlib.sha256(self.step_key.encode()).hexdigest()[:10]
        return f"{re.sub('[^A-Za-z0-9_.]', '_', self.step_key)[:60]}-{digest}"


def run_of(step_name: str) -> str | None:
    """The run id in a step name of the launcher; None for other names."""
    parts = step_name.split("/")
    return parts[1] if len(parts) >= 4 and parts[0] == _PREFIX else None
