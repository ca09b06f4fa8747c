"""The failures people must act on: one base class, and who may retry.

Put here the exception types that cross module borders. Messages say what happened, to which
path, step or cluster, and what to do. Dagster's own exception types do not belong here: the
asset layer translates.
"""

# The launcher library is independent of this project, so the shared base classes are defined there.
from fruit_assets.emr.errors import ActionableError as FruitAssetsError
from fruit_assets.emr.errors import PermanentError, TransientError

__all__ = [
    "FruitAssetsError",
    "InputError",
    "NotPublishedError",
    "PermanentError",
    "SettingsError",
    "StorageError",
    "TransientError",
]


class SettingsError(PermanentError):
    """One or more settings are wrong; the message lists all of them.

    Args:
        problems: one sentence per wrong setting.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} setting(s) need attention:\n{lines}")


class InputError(PermanentError):
    """The images, weights or run config given cannot be used."""


class StorageError(FruitAssetsError):
    """The asset storage cannot be read or written."""


class NotPublishedError(StorageError):
    """No version of this asset has been published yet."""


class ObjectError(StorageError):
    """One object cannot be read, by its size or by its permissions; the storage may be fine."""


class NewerVersionError(StorageError):
    """Another run has published since this one started; publishing now would overwrite its newer work."""
