"""One setting at a time: how its text is read, what it may be, and the sentence for what it may not be.

Put here the kinds of values (places, files, words, patterns). Which settings there are is in `settings.py`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "FRUIT_ASSETS_"

_S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?"
# Step arguments, Hadoop paths and shell scripts of clusters carry the staging prefix; each gives other characters
# a meaning of its own.
_PLAIN_S3_URI = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9/_.=+~@!()-]*)?"
_KNOWN = {
    "DEPLOYMENT", "IMAGES", "STORAGE", "WEIGHTS", "STAGING", "EMR_CLUSTER", "EMR_APPLICATION", "RETENTION_DAYS", "SSE",
    "KMS_KEY_ID", "INVENTORY", "DRIVER_MEMORY", "CACHE", "REFRESH_BUDGET", "PRICES", "TEST_DATA", "FAST_START",
}  # fmt: skip
# As botocore has it.
_REGION = r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)"


class SettingReader:
    """Reads one variable at a time and remembers what was wrong with it.

    Args:
        variables: the environment.
        folder: what relative paths are relative to.

    Attributes:
        problems: one sentence per wrong variable.
    """

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self.problems: list[str] = []
        self._variables = dict(variables)
        self._folder = folder
        self._check_names()
        self._check_quotes()
        self._check_aws()

    def first(self, *names: str) -> str | None:
        """The value of the first of these variables, named in full, that has one."""
        return next((value for name in names if (value := self._variables.get(name, "").strip())), None)

    def text(self, name: str) -> str:
        return self._variables.get(PREFIX + name, "").strip()

    def one_of(self, name: str, choices: tuple[str, ...], default: str | None) -> str | None:
        value = self.text(name) or default
        if value is not None and value not in choices:
            self._wrong(name, value, f"use {' or '.join(choices)}")
            return default
        return value

    def some_of(self, name: str, choices: frozenset[str]) -> frozenset[str]:
        """`on` is all of `choices`, `off` none; else names with commas between them."""
        value = self.text(name) or "on"
        if value in ("on", "off"):
            return choices if value == "on" else frozenset()
        names = frozenset(part.strip() for part in value.split(","))
        if names - choices:
            self._wrong(name, value, f"use on, off, or some of {', '.join(sorted(choices))}")
        return names & choices

    def matching(self, name: str, pattern: str, advice: str) -> str | None:
        value = self.text(name) or None
        if value is not None and not re.fullmatch(pattern, value):
            self._wrong(name, value, advice)
            return None
        return value

    def s3_uri(self, name: str) -> str | None:
        return self.matching(name, _S3_URI, "use s3://bucket/prefix")

    def staging(self) -> str | None:
        value = self.s3_uri("STAGING")
        if value and not re.fullmatch(_PLAIN_S3_URI, value):
            self._wrong(
                "STAGING", value, "use letters of ASCII, digits and /_.=+~@!()- only: clusters cannot use others"
            )
            return None
        return value

    def place(self, name: str, default: str) -> str:
        value = self.text(name) or default
        if value.startswith(("s3a://", "s3n://")):
            self._wrong(name, value, "write s3:// (it works locally and on EMR)")
        elif "://" in value:
            self.matching(name, _S3_URI, "use a folder or s3://bucket/prefix")
        else:
            return str(self._absolute(value))
        return value.rstrip("/")

    def folder(self, name: str, default: str) -> str:
        """A place that holds others: a folder, which need not be there yet, or an `s3://` URI."""
        place = self.place(name, default)
        if "://" not in place and _is(Path.is_file, place):
            self._wrong(name, self.text(name) or default, "this is a file; name a folder or s3://bucket/prefix")
        return place

    def local_folder(self, name: str, default: str) -> str:
        value = self.text(name) or default
        path = self._absolute(value)
        if "://" in value or _is(Path.is_file, path):
            self._wrong(name, value, "name a folder of this machine")
        return str(path)

    def file(self, name: str) -> str | None:
        if not (value := self.text(name)):
            return None
        path = self._absolute(value)
        if not _is(Path.is_file, path):
            self._wrong(name, value, "there is no such file")
        return str(path)

    def weights(self) -> str:
        value = self.text("WEIGHTS") or "imagenet"
        if value in ("imagenet", "random", "auto"):
            return value
        place = self.place("WEIGHTS", value)
        if "://" not in place and _is(Path.is_dir, place):
            self._wrong("WEIGHTS", value, "this is a folder; name the weights file in it")
        return place

    def _absolute(self, value: str) -> Path:
        try:
            return (self._folder / Path(value).expanduser()).resolve()
        except (RuntimeError, OSError) as error:  # no such home folder, a circle of links
            self.problems.append(f"The path {value!r} cannot be used: {error}.")
            return self._folder / value

    def _wrong(self, name: str, value: str, advice: str) -> None:
        self.problems.append(f"{PREFIX}{name} is {value!r}: {advice}.")

    def _check_names(self) -> None:
        known = ", ".join(PREFIX + name for name in sorted(_KNOWN))
        self.problems += [
            f"{name} is not a setting of this project. Known: {known}."
            for name in sorted(self._variables)
            if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _KNOWN
        ]

    def _check_quotes(self) -> None:
        """Quotation marks that were meant for a shell; the values go on without them, so that each has one line."""
        for name, value in self._variables.items():
            text = value.strip()
            if not name.startswith((PREFIX, "AWS_", "JAVA_HOME")) or len(text) < 2 or text[0] not in "\"'":
                continue
            if text[0] == text[-1]:
                self._variables[name] = text[1:-1]
                self.problems.append(
                    f"{name} begins and ends with quotation marks ({text[0]}), which `docker --env-file` and the like "
                    "keep: write it without."
                )

    def _check_aws(self) -> None:
        for name, value in self._variables.items():
            if name.startswith("AWS_ENDPOINT_URL") and value.strip() and not _is_url(value):
                self.problems.append(f"{name} is {value!r}: begin it with http:// or https://, as in http://host:9000.")
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            if (value := self._variables.get(name, "")) and not re.fullmatch(_REGION, value):
                self.problems.append(f"{name} is {value!r}: write the name of a region, such as eu-west-1.")


def _is(kind: Callable[[Path], bool], path: str | Path) -> bool:
    """Whether a path is a file, or a folder; what cannot be looked at is neither."""
    try:
        return kind(Path(path))
    except OSError:
        return False


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
