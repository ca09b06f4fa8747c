"""Errors of the step launcher, written for the person who must act on them, and whether a retry can help.

Put here the base classes only. Errors of one module are defined in that module.
"""


class ActionableError(Exception):
    """A failure whose message says what happened, to which object, and what to do."""


class PermanentError(ActionableError):
    """A retry cannot help: wrong settings, wrong input, refused access, version skew."""


class TransientError(ActionableError):
    """A retry may help: throttling, a lost connection, a lost node."""
