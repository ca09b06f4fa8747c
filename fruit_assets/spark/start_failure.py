"""Explain why a local Spark did not start, in a sentence or two.

Put here how errors of pyspark and of the JVM are read. The machine's settings are read in `site.py`.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from fruit_assets.settings import process_environment
from fruit_assets.spark.site import SiteConf, installed_spark

_JAVA_FRAME = re.compile(r"\s*(at |\.\.\. \d+ more)")
_EXCEPTION = re.compile(r"(?:: |Caused by: |Exception in thread \S+ )?(?:[\w$]+\.)+([\w$]*(?:Exception|Error)):? ?(.*)")
_JVM_ERROR = re.compile(
    r"(?i)^(?:Error|Exception|Unrecognized|Invalid|Could not|Conflicting|Multiple|Caused by|OpenJDK.*failed)"
)
_PATIENCE_SECONDS = 60
_SHOWN = 600


def why_spark_did_not_start(error: BaseException, conf: Mapping[str, str]) -> str:
    """Sentences that name the cause and the machine's settings that took part.

    Args:
        error: of pyspark, py4j or the operating system.
        conf: the settings that Spark was started with.
    """
    site = SiteConf.of(process_environment())
    causes = site.problems() or [_cause(error, conf)]
    if site.values:
        causes.append(f"{site.file} sets {', '.join(sorted(site.values))}.")
    return " ".join(causes)


def _cause(error: BaseException, conf: Mapping[str, str]) -> str:
    text = str(error)
    if "JAVA_GATEWAY_EXITED" not in text:
        return f"{_root_cause(text)}."
    if messages := _jvm_messages(conf):
        return f"The JVM ended: {messages}."
    return (
        "The JVM ended before it accepted a connection. Check the free memory against FRUIT_ASSETS_DRIVER_MEMORY "
        f"({conf['spark.driver.memory']}) and the messages of the JVM above."
    )


def _root_cause(text: str) -> str:
    """The innermost Java exception in the text; the first line if there is none."""
    matches = [match for line in text.splitlines() if (match := _EXCEPTION.match(line.strip()))]
    # A message of one word, such as the name of a missing class, is unclear without the exception's name.
    found = [match[2] if " " in match[2] else f"{match[1]}: {match[2]}" for match in matches]
    return (found[-1] if found else (text.splitlines() or ["no reason given"])[0]).strip().rstrip(".")[:_SHOWN]


def _jvm_messages(conf: Mapping[str, str]) -> str:
    """Start the JVM again with Spark's own script; returns the last error messages of its output."""
    home = process_environment().get("SPARK_HOME") or installed_spark()
    settings = [word for name, value in conf.items() for word in ("--conf", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, subprocess.TimeoutExpired):
        environment = process_environment() | {"_PYSPARK_DRIVER_CONN_INFO_PATH": str(Path(folder, "address"))}
        done = subprocess.run(
            [os.fspath(Path(str(home), "bin", "spark-submit")), *settings, "pyspark-shell"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
            timeout=_PATIENCE_SECONDS, env=environment,
        )  # fmt: skip
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not _JAVA_FRAME.match(line)]
            errors = [line for line in lines if _JVM_ERROR.match(line)] or lines[-2:]
            return ". ".join(_root_cause(line) for line in errors[-3:])
    return ""
