"""The primary node of a simulated cluster: its folders, Python, Spark settings and environment.

Put here what a process on an EMR node finds around itself. Nothing of the test process's own
environment reaches it: credentials and endpoint stand in for the instance profile.
"""

import os
import shutil
import site
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

from fruit_assets_tests.emr_simulator.recording import CLUSTER_KEY
from fruit_assets_tests.emr_simulator.s3a_jars import resolve_s3a_jars

JARS_CACHE = Path.home() / ".cache" / "fruit_assets"
# JVMs of tests live for seconds: they start faster when they compile little and collect simply.
SHORT_LIVED_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
# Containers too talk over the loopback device, whatever the machine's other addresses are.
LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1"}
_SESSION_TOKEN = "simulated-instance-profile"
_YARN_COMMAND = "org.apache.hadoop.yarn.client.cli.ApplicationCLI"


@dataclass(frozen=True)
class Node:
    """A primary node.

    Attributes:
        root: stands in for `/`: `home`, `mnt/var/log/hadoop/steps`, `mnt/var/lib/hadoop/steps` lie below.
        endpoint_url: where every AWS service is.
        region: of the cluster.
        master: what Spark runs on: `yarn` or a local master.
        yarn_conf: folder with the `yarn-site.xml` of a running YARN; None without one.
        spark_defaults: further Spark properties of the cluster, as its Configurations give them.
    """

    root: Path
    endpoint_url: str
    region: str
    master: str
    yarn_conf: Path | None
    spark_defaults: dict[str, str]

    @property
    def python(self) -> Path:
        return self.root / "python" / "bin" / "python3"

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    def logs(self, step_id: str) -> Path:
        return _made(self.root / "mnt/var/log/hadoop/steps" / step_id)

    def working_directory(self, step_id: str) -> Path:
        return _made(self.root / "mnt/var/lib/hadoop/steps" / step_id)

    def build(self, with_spark: bool) -> None:
        """Lay out the node, once per cluster."""
        _made(self.root / "home")
        self._build_python()
        if with_spark:
            self._build_spark()

    def environment(self, step_id: str) -> dict[str, str]:
        """What EMR's step runner gives a process, and what the instance profile would give an SDK."""
        folders = [str(self.root / "bin"), str(self.python.parent), f"{java_home()}/bin"]
        environment = {
            "PATH": ":".join([*folders, "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self.root / "home"),
            "USER": "hadoop",
            "LOGNAME": "hadoop",
            "SHELL": "/bin/bash",
            "LANG": "en_US.UTF-8",
            "EMR_STEP_ID": step_id,
            "JAVA_HOME": java_home(),
            "HADOOP_CONF_DIR": str(self.conf),
            "YARN_CONF_DIR": str(self.conf),
            "SPARK_HOME": str(spark_home()),
            "SPARK_CONF_DIR": str(self.conf),
            **LOOPBACK,
            "PYSPARK_PYTHON": str(self.python),
            "SPARK_SUBMIT_OPTS": SHORT_LIVED_JVM,
            **self.instance_profile(),
        }
        if self.master == "yarn":
            # In cluster mode the submitting JVM does not read spark.driver.extraClassPath.
            environment["SPARK_DIST_CLASSPATH"] = f"{self._s3a_folder()}/*"
        return environment

    def instance_profile(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": CLUSTER_KEY,
            "AWS_SECRET_ACCESS_KEY": "instance-profile-secret",
            "AWS_SESSION_TOKEN": _SESSION_TOKEN,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _build_python(self) -> None:
        """A Python with every installed package and without this checkout, as a bootstrap action would leave it.

        Packages come through a .pth line, and Python does not read .pth files found there: so the
        editable install of this project is not importable, and steps live on the code they ship.
        """
        base = Path(sys.executable).resolve()
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = _made(self.root / "python" / "lib" / version / "site-packages")
        _made(self.python.parent)
        for name in ("python", "python3", version):
            link = self.python.with_name(name)
            if not link.is_symlink():
                link.symlink_to(base)
        (self.root / "python" / "pyvenv.cfg").write_text(
            f"home = {base.parent}\ninclude-system-site-packages = false\n"
        )
        (packages / "bootstrap.pth").write_text("\n".join(site.getsitepackages()) + "\n")

    def _build_spark(self) -> None:
        conf = _made(self.conf)
        lines = [f"{key} {value}" for key, value in self._spark_properties().items()]
        (conf / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
        _write_hadoop_site(conf / "core-site.xml", self._core_site())
        if self.yarn_conf is not None:
            shutil.copy(self.yarn_conf / "yarn-site.xml", conf / "yarn-site.xml")
        commands = _made(self.root / "bin")
        classpath = f"$HADOOP_CONF_DIR:{spark_home()}/jars/*"
        _write_command(commands / "spark-submit", f'exec {spark_home()}/bin/spark-submit "$@"')
        _write_command(commands / "yarn", f'exec java -cp "{classpath}" {_YARN_COMMAND} "$@"')

    def _core_site(self) -> dict[str, str]:
        profile = self.instance_profile()
        return {
            "fs.defaultFS": "file:///",
            "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            "fs.s3a.endpoint": self.endpoint_url,
            "fs.s3a.endpoint.region": self.region,
            "fs.s3a.path.style.access": "true",
            "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
            "fs.s3a.access.key": profile["AWS_ACCESS_KEY_ID"],
            "fs.s3a.secret.key": profile["AWS_SECRET_ACCESS_KEY"],
            "fs.s3a.session.token": profile["AWS_SESSION_TOKEN"],
        }

    def _spark_properties(self) -> dict[str, str]:
        jars = f"{self._s3a_folder()}/*"
        properties = {key: value for key, value in self.spark_defaults.items() if not is_machine_property(key)}
        properties |= {
            "spark.master": self.master,
            "spark.submit.deployMode": "client",
            "spark.driver.extraClassPath": jars,
            "spark.executor.extraClassPath": jars,
            "spark.driver.extraJavaOptions": SHORT_LIVED_JVM,
            "spark.executor.extraJavaOptions": SHORT_LIVED_JVM,
            "spark.driver.memory": "1g",
            "spark.executor.memory": "512m",
            "spark.pyspark.python": str(self.python),
            "spark.ui.enabled": "false",
            "spark.local.dir": str(_made(self.root / "mnt/tmp")),
        }
        if self.master == "yarn":
            properties |= self._yarn_properties()
        return properties

    def _yarn_properties(self) -> dict[str, str]:
        environment = {
            "PYSPARK_PYTHON": str(self.python),
            "JAVA_HOME": java_home(),
            **LOOPBACK,
            **self.instance_profile(),
        }
        return {
            "spark.yarn.jars": f"local:{spark_home()}/jars/*",
            "spark.yarn.am.memory": "512m",
            "spark.yarn.am.extraJavaOptions": SHORT_LIVED_JVM,
            "spark.yarn.maxAppAttempts": "1",
            "spark.yarn.stagingDir": f"file://{_made(self.root / 'mnt/staging')}",
            "spark.executor.instances": "1",
            "spark.executor.cores": "1",
            **{f"spark.yarn.appMasterEnv.{name}": value for name, value in environment.items()},
            **{f"spark.executorEnv.{name}": value for name, value in environment.items()},
        }

    def _s3a_folder(self) -> Path:
        return resolve_s3a_jars(JARS_CACHE)[0].parent


def spark_home() -> Path:
    import pyspark

    return Path(pyspark.__file__).parent


def java_home() -> str:
    """The Java of this machine, as the nodes of a cluster name theirs."""
    java = shutil.which("java")
    return os.environ.get("JAVA_HOME") or (str(Path(java).resolve().parent.parent) if java else "/usr")


def is_machine_property(key: str) -> bool:
    """Whether a Spark property says how big a machine is, or where it keeps its Python: a simulator has its own."""
    sizes = ("memory", "memoryOverhead", "cores", "instances", "minExecutors", "maxExecutors", "initialExecutors")
    return key.rpartition(".")[2] in sizes or key.endswith(("pyspark.python", "driver.python", "PYSPARK_PYTHON"))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_hadoop_site(path: Path, properties: dict[str, str]) -> None:
    configuration = Element("configuration")
    for name, value in properties.items():
        entry = SubElement(configuration, "property")
        SubElement(entry, "name").text = name
        SubElement(entry, "value").text = value
    ElementTree(configuration).write(path, encoding="utf-8", xml_declaration=True)


def _write_command(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
