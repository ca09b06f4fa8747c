"""Find a Java that Spark can use, or explain in one line what is missing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fruit_assets.errors import PermanentError

OLDEST = 17
_FIX = "Install a Java 17 runtime (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME to one."


def require_java(java_home: str | None = None) -> Path:
    """The `java` that Spark will run.

    Args:
        java_home: value of `JAVA_HOME`; None looks on the PATH.

    Raises:
        PermanentError: there is none, or it is older than 17.
    """
    if java_home:
        java = Path(java_home, "bin", "java")
        if not os.access(java, os.X_OK):
            raise PermanentError(f"JAVA_HOME is {java_home}, but there is no {java}. {_FIX}")
    elif found := shutil.which("java"):
        java = Path(found)
    else:
        raise PermanentError(f"Spark needs Java {OLDEST} or newer, and there is none on this machine. {_FIX}")
    version = _major_version(java)
    if version is not None and version < OLDEST:
        raise PermanentError(f"Spark needs Java {OLDEST} or newer; {java} is Java {version}. {_FIX}")
    return java


def _major_version(java: Path) -> int | None:
    """The major version, from the JDK's `release` file or else from `java -version`, which costs a JVM start."""
    release = java.resolve().parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else _version_output(java)
    match = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return int(match[1]) if match else None


def _version_output(java: Path) -> str:
    done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60, check=False)
    return done.stderr + done.stdout
