"""A real YARN on this machine: Hadoop's MiniYARNCluster in a JVM of its own.

Put here starting it, its configuration for clients, and questions to its ResourceManager. Who
submits to it, and what, is the tests' business.
"""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from fruit_assets_tests.emr_simulator.jar_cache import JarSet, resolve_jars
from fruit_assets_tests.emr_simulator.node import JARS_CACHE, SHORT_LIVED_JVM, spark_home
from fruit_assets_tests.emr_simulator.s3a_jars import HADOOP_VERSION

# What the shaded minicluster asks for and does not bring; versions as in Hadoop's own build.
MINI_CLUSTER_JARS = JarSet(
    f"minicluster-{HADOOP_VERSION}",
    (
        f"org.apache.hadoop:hadoop-client-minicluster:{HADOOP_VERSION}",
        "junit:junit:4.13.2",
        "org.bouncycastle:bcpkix-jdk18on:1.78.1",
        "javax.xml.bind:jaxb-api:2.3.1",
        "com.sun.xml.bind:jaxb-impl:2.3.3",
        "com.sun.activation:javax.activation:1.2.0",
    ),
    # Spark's own copies of these serve both.
    excluded=("org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime"),
    excluded_groups=("org.slf4j",),
)
_QUEUE = "yarn.scheduler.capacity.root"
_SETTINGS = {
    "yarn.resourcemanager.scheduler.class": (
        "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.CapacityScheduler"
    ),
    f"{_QUEUE}.queues": "default",
    f"{_QUEUE}.default.capacity": "100",
    "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
    "yarn.scheduler.minimum-allocation-mb": "128",
    "yarn.nodemanager.resource.memory-mb": "6144",
    "yarn.nodemanager.resource.cpu-vcores": "8",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.pmem-check-enabled": "false",
    # Disks of test machines are full, and that is none of our business.
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99.9",
    "yarn.nodemanager.delete.debug-delay-sec": "600",
}
_START_MILLISECONDS = 600_000


@dataclass(frozen=True)
class Application:
    """What the ResourceManager says of an application."""

    id: str
    name: str
    state: str
    final_status: str
    diagnostics: str

    @property
    def is_active(self) -> bool:
        return self.state not in ("FINISHED", "FAILED", "KILLED")


class MiniYarn:
    """One ResourceManager and one NodeManager, for the length of a `with` block (it starts in about 6 s).

    Args:
        folder: it writes below this folder only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.conf = folder / "conf"

    def __enter__(self) -> Self:
        self.conf.mkdir(parents=True, exist_ok=True)
        jars = [str(jar) for jar in resolve_jars(MINI_CLUSTER_JARS, JARS_CACHE)]
        self._log = (self._folder / "yarn.log").open("w")
        self._gateway: JavaGateway = _gateway(self._folder, jars, self._log)
        try:
            self._start()
        except BaseException:
            self._end_process()
            raise
        return self

    def _start(self) -> None:
        hadoop = self._gateway.jvm.org.apache.hadoop
        configuration = hadoop.yarn.conf.YarnConfiguration()
        for key, value in _SETTINGS.items():
            configuration.set(key, value)
        self._cluster = hadoop.yarn.server.MiniYARNCluster("emr", 1, 1, 1)
        self._cluster.init(configuration)
        self._cluster.start()
        if not self._cluster.waitForNodeManagersToConnect(_START_MILLISECONDS):
            raise RuntimeError(f"YARN's NodeManager did not connect: see {self._folder / 'yarn.log'}")
        self._write_site()
        self._client = hadoop.yarn.client.api.YarnClient.createYarnClient()
        self._client.init(self._cluster.getConfig())
        self._client.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for application in self.applications():
                if application.is_active:
                    self.kill(application.id)
                    self.wait_until_inactive(application.id)
        finally:
            self._end_process()

    def applications(self) -> list[Application]:
        """All applications it has seen, the ended ones included."""
        return [
            Application(
                report.getApplicationId().toString(),
                report.getName(),
                report.getYarnApplicationState().toString(),
                report.getFinalApplicationStatus().toString(),
                report.getDiagnostics() or "",
            )
            for report in self._client.getApplications()
        ]

    def application(self, application_id: str) -> Application:
        return next(application for application in self.applications() if application.id == application_id)

    def wait_until_inactive(self, application_id: str, timeout: float = 600) -> Application:
        """Wait until an application has ended.

        Raises:
            TimeoutError: it had not in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (application := self.application(application_id)).is_active:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{application} is still active after {timeout} s")
            time.sleep(0.2)
        return application

    def kill(self, application_id: str) -> None:
        for report in self._client.getApplications():
            if report.getApplicationId().toString() == application_id:
                self._client.killApplication(report.getApplicationId())

    def container_logs(self, application_id: str) -> dict[str, bytes]:
        """The logs of the containers of an application, by `<container>/<name>`."""
        logs = sorted(self._folder.rglob(f"{application_id}/container_*/std*"))
        return {f"{log.parent.name}/{log.name}": log.read_bytes() for log in logs}

    def _end_process(self) -> None:
        process = self._gateway.java_process
        # Containers that are still ending are children of the NodeManager, which is in this process.
        containers = psutil.Process(process.pid).children(recursive=True)
        self._gateway.shutdown()
        process.stdin.close()
        process.kill()
        process.wait()
        for container in containers:
            with contextlib.suppress(psutil.NoSuchProcess):
                container.kill()
        self._log.close()

    def _write_site(self) -> None:
        stream = self._gateway.jvm.java.io.FileOutputStream(str(self.conf / "yarn-site.xml"))
        self._cluster.getConfig().writeXml(stream)
        stream.close()


def _gateway(folder: Path, jars: list[str], output: Any) -> JavaGateway:
    """A JVM with the minicluster on its class path, in `folder`, which ends when this process does."""
    py4j = next((spark_home() / "jars").glob("py4j-*.jar"))
    port, process = launch_gateway(
        jarpath=str(py4j),
        classpath=":".join([*jars, f"{spark_home()}/jars/*"]),
        javaopts=["--add-opens=java.base/java.lang=ALL-UNNAMED", "-Xmx512m", *SHORT_LIVED_JVM.split()],
        die_on_exit=True,
        cwd=str(folder),
        redirect_stdout=output,
        redirect_stderr=output,
        return_proc=True,
    )
    return JavaGateway(gateway_parameters=GatewayParameters(port=port), java_process=process)
