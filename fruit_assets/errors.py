"""The failures people must act on: one base class, and who may retry.

Put here the exception types that cross module borders. Messages say what happened, to which
path, step or cluster, and what to do. Dagster's own exception types do not belong here: the
asset layer translates.
"""


class FruitAssetsError(Exception):
    """A failure whose message is written for the person who must act on it."""


class PermanentError(FruitAssetsError):
    """Trying again cannot help: bad settings, bad input, refused access, version skew."""


class TransientError(FruitAssetsError):
    """Trying again may help: throttling, a lost connection, a lost executor."""


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
    """Another run has published meanwhile, and publishing now would overwrite its newer work."""
