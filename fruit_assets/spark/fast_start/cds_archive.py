"""Class-data sharing: an archive of the classes Spark loads, which spares the JVM a good part of its start.

Put here where the archive lies and whether it is used. It is made by a process of its own (`cds_build.py`) after
a run that had none, and a run never waits for it nor fails for it: without an archive Spark only starts slower.
"""

import atexit
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fruit_assets.settings import process_environment

# After an attempt that failed, the runs of an hour do not repeat it.
_PATIENCE_SECONDS = 3600
_ARCHIVING = "fruit_assets.spark.cds_build"
# What a JVM calls an archive when it warns that it cannot use it.
_REFUSALS = ("archive", "shared", "cds", "aot")
# An archive has its path in an option of the JVM, where these mean something.
_SEPARATORS = frozenset(" \"',:\\")


@dataclass(frozen=True)
class ClassData:
    """The archive for one JVM and one set of jars.

    Attributes:
        folder: of the archives.
        key: names the JVM, the jars and the options; an archive's name goes on with its size and time.
        log: where the JVM writes why it refuses the archive.
        java_options: the JVM's other options.
    """

    folder: Path
    key: str
    log: Path
    java_options: str

    @property
    def archive(self) -> Path | None:
        return next(iter(sorted(self.folder.glob(f"{self.key}-*.jsa"))), None)

    @property
    def lock(self) -> Path:
        return self.folder / f"{self.key}.lock"

    @property
    def is_made(self) -> bool:
        return self.archive is not None

    def options(self) -> str:
        """The JVM's options, with the archive if there is an intact one; the JVM logs when it refuses it."""
        archive = self.archive
        # A JVM that maps a damaged archive crashes.
        if archive is None or not self._is_intact(archive):
            return self.java_options
        log = f"-Xlog:disable -Xlog:all=warning:file={self.log}:none:filecount=0"
        return f"{self.java_options} -Xshare:auto -XX:SharedArchiveFile={archive} {log}"

    def discard(self) -> None:
        """Remove the archive, so that another is made."""
        with suppress(OSError):
            if (archive := self.archive) is not None:
                archive.unlink()
            self.lock.unlink(missing_ok=True)

    def settle(self) -> None:
        """Call when the JVM has started: an archive it refused goes, and a missing one is made when we have ended."""
        with suppress(OSError):
            written = self.log.read_text(errors="replace").lower()
            self.log.unlink()
            if any(word in written for word in _REFUSALS):
                self.discard()
        if not self.is_made:
            atexit.register(_make_detached, self)

    def _is_intact(self, archive: Path) -> bool:
        try:
            intact = archive == self.folder / archive_name(self.key, archive)
        except OSError:
            return False
        if not intact:
            self.discard()
        return intact


def archive_name(key: str, file: Path) -> str:
    """The name of an archive holds what it is for and the size of the whole file: a digest of 170 MB takes too long."""
    status = file.stat()
    # Whole seconds, which every way of copying a cache keeps.
    return f"{key}-{status.st_size}-{int(status.st_mtime)}.jsa"


def class_data(java: Path, jars: Path, java_options: str, cache: Path) -> ClassData | None:
    """Where the archive of this JVM, these jars and these options is kept; None where it cannot be.

    Args:
        java: the `java` that Spark runs.
        jars: folder of Spark's jars.
        java_options: other options of the JVM.
        cache: folder for what can be rebuilt.
    """
    log = Path(tempfile.gettempdir(), f"fruit-assets-jvm-{os.getpid()}.log")
    folder = cache / "class-data"
    if _SEPARATORS & set(f"{log}{folder}"):
        return None
    return ClassData(folder, _key(java, jars, java_options), log, java_options)


def _key(java: Path, jars: Path, java_options: str) -> str:
    """Changes with the JVM, with any jar, and with the options."""
    home = java.resolve().parent.parent
    # Our archive lies on top of the JVM's own.
    files = [java.resolve(), home / "release", *sorted(home.glob("lib/server/*.jsa")), *sorted(jars.glob("*.jar"))]
    stamps = []
    for file in files:
        with suppress(OSError):
            status = file.stat()
            stamps.append([str(file), status.st_size, status.st_mtime_ns])
    # These folders are part of the class path, which an archive must fit.
    environment = process_environment()
    folders = [environment.get(name) for name in ("SPARK_CONF_DIR", "HADOOP_CONF_DIR", "YARN_CONF_DIR")]
    given = [stamps, java_options, folders]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()[:24]


def _make_detached(missing: ClassData) -> None:
    if missing.is_made or not _may_try(missing):
        return
    with suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", _ARCHIVING, str(missing.folder), missing.key, missing.java_options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _may_try(missing: ClassData) -> bool:
    """Whether the folder can be written and no attempt was made lately."""
    try:
        missing.folder.mkdir(parents=True, exist_ok=True)
        if missing.lock.exists() and time.time() - missing.lock.stat().st_mtime < _PATIENCE_SECONDS:
            return False
        missing.lock.touch()
    except OSError:
        return False
    return True
