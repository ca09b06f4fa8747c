"""What the driver of a job run finds in its container: the image's Python, and the archives it names.

Put here how `spark.archives` and `spark.emr-serverless.driverEnv` reach the driver. What any node has
is in `node.py`.
"""

import io
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fruit_assets_tests.emr_simulator.node import Node

_DRIVER_ENVIRONMENT = "spark.emr-serverless.driverEnv."


@dataclass(frozen=True)
class DriverNode(Node):
    """The container of one driver.

    Attributes:
        job_run: id of the job run.
        driver_environment: variables that its Spark properties give the driver.
    """

    job_run: str = ""
    driver_environment: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """What PYSPARK_DRIVER_PYTHON names; else the image's Python, which has no packages of ours."""
        named = self.driver_environment.get("PYSPARK_DRIVER_PYTHON")
        if named is None:
            return super().python
        return self.working_directory(self.job_run) / named

    def environment(self, step_id: str) -> dict[str, str]:
        environment = super().environment(step_id)
        del environment["EMR_STEP_ID"]
        own = {**self.driver_environment, "PYSPARK_PYTHON": str(self.python), "PYSPARK_DRIVER_PYTHON": str(self.python)}
        return {**environment, **own}

    def _build_python(self) -> None:
        python = self.root / "python" / "bin" / "python3"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.symlink_to(Path(sys.executable).resolve())
        home = f"home = {Path(sys.executable).resolve().parent}\ninclude-system-site-packages = false\n"
        (self.root / "python" / "pyvenv.cfg").write_text(home)


def driver_environment(conf: dict[str, str]) -> dict[str, str]:
    """Variables of the driver out of its Spark properties."""
    return {
        key.removeprefix(_DRIVER_ENVIRONMENT): value
        for key, value in conf.items()
        if key.startswith(_DRIVER_ENVIRONMENT)
    }


def unpack_archives(archives: str, folder: Path, s3: Any) -> None:
    """Unpack `s3://bucket/name.tar.gz#directory` (comma-separated) below the driver's working directory."""
    for archive in filter(None, archives.split(",")):
        uri, _, directory = archive.partition("#")
        place = urlsplit(uri, allow_fragments=False)
        body = s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as packed:
            packed.extractall(folder / (directory or Path(place.path).name), filter="fully_trusted")
