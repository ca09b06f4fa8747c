"""The JVM of a local session, started at once and directly.

Put here how a JVM is started that was not started before: with the very command that Spark's scripts once
arrived at, which spares their own JVM and goes on while pyspark is still being imported. Where no such command is
known, or the environment asks the scripts for something else, pyspark starts the JVM as ever.
"""

import atexit
import json
import os
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets.settings import process_environment, set_variables, unset_variables

if TYPE_CHECKING:
    from fruit_assets.spark.fast_start.cds_archive import ClassData

_MAIN = "org.apache.spark.deploy.SparkSubmit"
_MEMORY, _OPTIONS = "@memory@", "@options@"
# Variables of ours, or that pyspark sets for itself. With any other, Spark's scripts decide what to start.
_HARMLESS = frozenset(
    {"SPARK_LOCAL_IP", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_AUTH_SOCKET_TIMEOUT", "SPARK_BUFFER_SIZE"}
)
_DECIDING = ("SPARK_", "PYSPARK_", "HADOOP_CONF_DIR", "YARN_CONF_DIR")
_CLASS_PATHS = ("spark.driver.extraClassPath", "spark.driver.extraLibraryPath", "spark.driver.defaultJavaOptions")
# What the scripts export, for the JVM and the workers it starts.
_EXPORTED = ("SPARK_HOME", "SPARK_SCALA_VERSION", "SPARK_ENV_LOADED", "PYTHONHASHSEED", "SPARK_CONNECT_MODE")
_LOOK_AGAIN_SECONDS = 0.01


@dataclass(frozen=True)
class DriverJvm:
    """A JVM that is starting.

    Attributes:
        process: the JVM.
        folder: private folder, where it writes its port and secret.
        java_options: that it was started with.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path
    java_options: str

    def gateway(self) -> Any:
        """Pyspark's gateway to it, or None when it ended before there was one."""
        try:
            address = self._address()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        if address is None:
            return None
        from pyspark.java_gateway import launch_gateway

        port, secret = address
        given = {"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret}
        set_variables(given)
        try:
            gateway = launch_gateway()  # type: ignore[no-untyped-call]
        finally:
            unset_variables(given)
        # As pyspark has it: the JVM ends when this pipe does.
        gateway.proc = self.process
        return gateway

    def _address(self) -> tuple[int, str] | None:
        connection = _connection_file(self.folder)
        while not connection.is_file():
            if self.process.poll() is not None:
                return None
            time.sleep(_LOOK_AGAIN_SECONDS)
        # The JVM renames the file into place when it is whole.
        content = connection.read_bytes()
        port, length = struct.unpack_from("!ii", content)
        return port, content[8 : 8 + length].decode("utf-8")


def start_driver_jvm(data: "ClassData", conf: Mapping[str, str]) -> DriverJvm | None:
    """Start the JVM of a session with these settings, or do nothing where that is the scripts' business.

    Args:
        data: where the command is kept, and the archive of classes.
        conf: all settings of the session.
    """
    if needs_spark_submit(conf) or (template := _read_template(data.launch)) is None:
        return None
    java_options = data.options()
    command = _filled(template["command"], conf["spark.driver.memory"], java_options)
    for name, value in conf.items():
        command += ["--conf", f"{name}={java_options if name == 'spark.driver.extraJavaOptions' else value}"]
    folder = Path(tempfile.mkdtemp(prefix="fruit-assets-jvm-"))
    # Should the process that wants the gateway end before.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    variables = {
        **process_environment(),
        **template["environment"],
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(_connection_file(folder)),
    }
    try:
        process = subprocess.Popen(
            [*command, "pyspark-shell"], stdin=subprocess.PIPE, env=variables, preexec_fn=_ignore_interrupt
        )
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return DriverJvm(process, folder, java_options)


def record_launch_command(pid: int, java_options: str, memory: str, target: Path) -> None:
    """Keep the command of a JVM that Spark's scripts have started, for `start_driver_jvm`."""
    import psutil

    running = psutil.Process(pid)
    words = running.cmdline()
    words = words[: words.index(_MAIN) + 1]
    own = set(shlex.split(java_options))
    place = words.index(f"-Xmx{memory}")
    kept = [word for word in words[place + 1 :] if word not in own]
    environment = running.environ()
    template = {
        "command": [*words[:place], f"-Xmx{_MEMORY}", _OPTIONS, *kept],
        "environment": {name: environment[name] for name in _EXPORTED if name in environment},
    }
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_text(json.dumps(template))
    part.replace(target)


def needs_spark_submit(conf: Mapping[str, str]) -> bool:
    """Whether the environment or `conf` asks for what only `spark-submit` does."""
    deciding = [name for name in process_environment() if name.startswith(_DECIDING) and name not in _HARMLESS]
    return bool(deciding) or any(name in conf for name in _CLASS_PATHS)


def _read_template(file: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        template = json.loads(file.read_text())
        if isinstance(template, dict) and _MAIN in template.get("command", ()) and "environment" in template:
            return template
    return None


def _filled(template: Sequence[str], memory: str, java_options: str) -> list[str]:
    words: list[str] = []
    for word in template:
        words += shlex.split(java_options) if word == _OPTIONS else [word.replace(_MEMORY, memory)]
    return words


def _connection_file(folder: Path) -> Path:
    return folder / "address"


def _ignore_interrupt() -> None:
    """Ctrl-C is for this process, which then stops what runs in the JVM in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
