"""How `command-runner.jar` turns the arguments of a step into a process on the node.

Put here the three ways: a real spark-submit, plain Python (no JVM, for tests of the protocol), or
a function of the test. What EMR does around the process belongs to the execution.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

from fruit_assets_tests.emr_simulator.node import Node, is_machine_property
from fruit_assets_tests.emr_simulator.processes import CallableProcess, ChildProcess, StepProcess

_DRIVER_PARENT = Path(__file__).with_name("driver_parent.py")
# The first lines of a program that a test sends: what runs on a node sees no package of the checkout. A part of it is
# imported, because an editable install can leave an empty folder of the package's name behind.
ASSERT_NO_CHECKOUT = """
try:
    import fruit_assets.emr
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("the checkout must not reach the node")
"""
_FLAGS = frozenset({"--verbose", "-v", "--supervise", "--help", "-h", "--version", "--usage-error"})


@dataclass(frozen=True)
class StepCall:
    """What a function that stands in for a step gets.

    Attributes:
        args: arguments of `command-runner.jar`.
        environment: what a process would see.
        folder: working directory of the step.
        stdout, stderr: its logs.
        interrupted: set when the step is cancelled or killed.
    """

    step_id: str
    args: list[str]
    environment: dict[str, str]
    folder: Path
    stdout: TextIO
    stderr: TextIO
    interrupted: threading.Event


Runner = Literal["spark", "python"] | Callable[[StepCall], int | None]


@dataclass(frozen=True)
class SparkSubmit:
    """The parts of a spark-submit command line.

    Attributes:
        options: (name, value) in order; the value of a flag is None.
        program: the main script, then its arguments.
    """

    options: list[tuple[str, str | None]] = field(default_factory=list)
    program: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, args: list[str]) -> "SparkSubmit":
        """Split arguments as spark-submit does: options until the first word that is none."""
        options: list[tuple[str, str | None]] = []
        words = iter(args)
        for word in words:
            if not word.startswith("-"):
                return cls(options, [word, *words])
            name, equals, value = word.partition("=")
            options.append((name, None if name in _FLAGS else value if equals else next(words, "")))
        return cls(options)

    def values(self, name: str) -> list[str]:
        return [value for option, value in self.options if option == name and value is not None]

    def words(self) -> list[str]:
        return [word for option in self.options for word in option if word is not None] + self.program


def start(runner: Runner, node: Node, step_id: str, args: list[str], s3: Any) -> StepProcess:
    """Start what the arguments of a step say.

    Args:
        runner: how `spark-submit` is carried out; other commands always run as they are.
        node: where it runs.
        step_id: names its folders.
        args: arguments of `command-runner.jar`.
        s3: client with the cluster's credentials.
    """
    folder, logs, environment = node.working_directory(step_id), node.logs(step_id), node.environment(step_id)
    if callable(runner):
        interrupted = threading.Event()

        def call(stdout: TextIO, stderr: TextIO) -> int | None:
            return runner(StepCall(step_id, args, environment, folder, stdout, stderr, interrupted))

        return CallableProcess(call, interrupted, logs)
    if args[:1] == ["spark-submit"]:
        submit = SparkSubmit.parse(args[1:])
        if runner == "python":
            command = _python_command(submit, node, folder, environment, s3)
        else:
            command = ["spark-submit", *_on_this_node(submit, node).words()]
    else:
        command = args or ["false"]
    # Looked up on the node's PATH, not on the test's.
    return ChildProcess(["/usr/bin/env", *command], environment, folder, logs)


def start_hung(node: Node, step_id: str) -> StepProcess:
    """A process that does nothing for ever, in place of the step's."""
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    return ChildProcess(command, node.environment(step_id), node.working_directory(step_id), node.logs(step_id))


def _on_this_node(submit: SparkSubmit, node: Node) -> SparkSubmit:
    """The same submission with what is true of any EMR cluster replaced by what is true of this machine."""
    options: list[tuple[str, str | None]] = []
    for name, value in submit.options:
        key = (value or "").partition("=")[0] if name in ("--conf", "-c") else name.removeprefix("--").replace("-", ".")
        if (
            name == "--master"
            or key == "spark.master"
            or is_machine_property(key)
            or name in ("--num-executors", "--total-executor-cores")
        ):
            continue
        if node.master != "yarn" and (name == "--deploy-mode" or key == "spark.submit.deployMode"):
            continue
        if key in ("spark.driver.extraClassPath", "spark.executor.extraClassPath"):
            continue
        options.append((name, value))
    return SparkSubmit(options, submit.program)


def _python_command(submit: SparkSubmit, node: Node, folder: Path, environment: dict[str, str], s3: Any) -> list[str]:
    """The main script under the node's Python, with `--py-files` on its path, as in client mode."""
    py_files = [uri for value in submit.values("--py-files") for uri in value.split(",") if uri]
    shipped = [str(_fetch(uri, folder, s3)) for uri in py_files]
    environment["PYTHONPATH"] = os.pathsep.join(shipped)
    main, *args = submit.program
    return [str(node.python), "-IS", str(_DRIVER_PARENT), str(node.python), str(_fetch(main, folder, s3)), *args]


def _fetch(uri: str, folder: Path, s3: Any) -> Path:
    """Download an `s3://` file into the working directory; other paths stay as they are."""
    if not uri.startswith("s3"):
        return Path(uri)
    place = urlsplit(uri, allow_fragments=False)
    target = folder / Path(place.path).name
    target.write_bytes(s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read())
    return target


def describe(environment: Mapping[str, str]) -> str:
    """An environment as EMR's controller log writes it, one variable a line, without secrets."""
    hidden = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return "\n".join(f"  {name}={'*' if name in hidden else value}" for name, value in sorted(environment.items()))
