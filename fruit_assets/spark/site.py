"""The machine's configuration for all programs that use Spark: environment variables and `spark-defaults.conf`.

Put here which parts a local Spark applies, which it ignores, and which cannot work. The project's own settings are
in `session.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

# With these variables pyspark or Spark's scripts would start, or connect to, another Spark than the local one.
_UNRELATED_VARIABLES = {
    "SPARK_REMOTE": "it names a Spark Connect server",
    "SPARK_LOCAL_REMOTE": "it is for Spark Connect",
    "SPARK_CONNECT_MODE_ENABLED": "it is for Spark Connect",
    "SPARK_CONNECT_MODE": "it is for Spark Connect",
    "SPARK_API_MODE": "it is for Spark Connect",
    "PYSPARK_SUBMIT_ARGS": "it is for notebooks; use spark-defaults.conf, which is applied",
    "PYSPARK_GATEWAY_PORT": "it belongs to a JVM of another process",
    "PYSPARK_GATEWAY_SECRET": "it belongs to a JVM of another process",
    "SPARK_TESTING": "it is for tests of Spark itself",
    "SPARK_PREPEND_CLASSES": "it is for builds of Spark itself",
    "SPARK_ENV_LOADED": "it keeps spark-env.sh from being read",
    "SPARK_SCALA_VERSION": "it is for builds of Spark itself",
}
_PROPERTY = re.compile(r"\s*([^\s=:#!][^\s=:]*)(?:\s*[=:]\s*|\s+)(.*\S)")
_COLLECTOR = re.compile(r"-XX:\+Use\w+GC\b")
_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")


def unrelated_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that a local Spark must ignore, because they would break it, with the reason for each."""
    found = {name: why for name, why in _UNRELATED_VARIABLES.items() if name in environment}
    home = environment.get("SPARK_HOME")
    if home and not _has_same_version(Path(home)):
        found["SPARK_HOME"] = f"{home} has another version of Spark than pyspark"
    return found


def installed_spark() -> Path | None:
    """The folder of pyspark's own Spark, found without importing pyspark."""
    found = find_spec("pyspark")
    return Path(found.origin).parent if found is not None and found.origin else None


def _has_same_version(home: Path) -> bool:
    own = installed_spark()
    cores = {jar.name for jar in own.glob("jars/spark-core_*.jar")} if own else set()
    return own == home or any((home / "jars" / name).is_file() for name in cores)


@dataclass(frozen=True)
class SiteConf:
    """`spark-defaults.conf`.

    Attributes:
        file: its path, even if the file does not exist; None if Spark looks for none.
        values: its settings; empty when there is no such file.
    """

    file: Path | None
    values: Mapping[str, str]

    @staticmethod
    def of(environment: Mapping[str, str]) -> "SiteConf":
        home = environment.get("SPARK_HOME") or installed_spark()
        folder = environment.get("SPARK_CONF_DIR") or (home and Path(home, "conf"))
        if not folder:
            return SiteConf(None, {})
        file = Path(folder, "spark-defaults.conf")
        try:
            lines = file.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return SiteConf(file, {})
        return SiteConf(file, {found[1]: found[2] for line in lines if (found := _PROPERTY.fullmatch(line.rstrip()))})

    def problems(self) -> list[str]:
        """Known reasons why Spark will not start, one sentence each."""
        if self.values.get("spark.eventLog.enabled") != "true":
            return []
        place = self.values.get("spark.eventLog.dir", "file:///tmp/spark-events")
        parts = urlsplit(place)
        if parts.scheme not in ("", "file") or Path(unquote(parts.path)).is_dir():
            return []
        return [
            f"spark.eventLog.dir is {place}, which is not a folder: create it, or set spark.eventLog.enabled to false "
            f"in {self.file}."
        ]


def chooses_collector(environment: Mapping[str, str], conf: Mapping[str, str]) -> bool:
    """Whether the site's JVM options choose a garbage collector; the JVM does not accept a second one."""
    options = [
        conf.get("spark.driver.defaultJavaOptions", ""),
        *(environment.get(name, "") for name in _JAVA_VARIABLES),
    ]
    return any(_COLLECTOR.search(text) for text in options)
