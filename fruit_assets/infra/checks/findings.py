"""A finding of doctor: ok, warning or problem, and what to do.

Put here the shape of a finding and how a check that cannot be made becomes one. The checks are in
`machine_checks`, `settings_checks`, `bucket_checks` and `emr_checks`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from fruit_assets.errors import FruitAssetsError

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at, in a word or two.
        status: `problem` stops a run, `warning` may cost time, money or safety later.
        detail: what was found.
        remedy: what to do; empty when all is well.
    """

    subject: str
    status: Status
    detail: str
    remedy: str = ""


def ok(subject: str, detail: str) -> Finding:
    """A check without problem."""
    return Finding(subject, "ok", detail)


def warning(subject: str, detail: str, remedy: str) -> Finding:
    """A run will start, but the finding may cost time, money or safety."""
    return Finding(subject, "warning", detail, remedy)


def problem(subject: str, detail: str, remedy: str) -> Finding:
    """A run will fail."""
    return Finding(subject, "problem", detail, remedy)


def checked(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a check; one that fails is itself a finding, and the next checks still run."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except FruitAssetsError as error:
        found.append(problem(subject, str(error), "The message names the cause; correct it and run doctor again."))
    return found
