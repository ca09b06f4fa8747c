"""The S3A of the simulated nodes: the jars behind `s3://` for Spark.

Put here the versions that belong to the pinned pyspark. The product itself opens no Spark file system: locally it needs
none of this, and EMR brings its own.
"""

from pathlib import Path

from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr_simulator.jar_cache import JarSet, resolve_jars

PYSPARK_VERSION = "4.1.1"
# The Hadoop that pyspark 4.1.1 was built with, and the AWS SDK that this Hadoop was built with.
HADOOP_VERSION = "3.4.2"
AWS_SDK_VERSION = "2.29.52"

_SDK = "software.amazon.awssdk"
# These three modules and what they depend on are 14 MB; the bundle hadoop-aws asks for is 600 MB.
_SDK_MODULES = tuple(f"{_SDK}:{module}:{AWS_SDK_VERSION}" for module in ("s3", "s3-transfer-manager", "sts"))
S3A_JARS = JarSet(
    f"s3a-{HADOOP_VERSION}",
    (f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}", *_SDK_MODULES),
    # Spark brings netty and slf4j; wildfly only speeds up TLS.
    excluded=(f"{_SDK}:bundle", "org.wildfly.openssl:wildfly-openssl"),
    excluded_groups=("io.netty", "org.slf4j"),
)


def resolve_s3a_jars(cache: Path) -> list[Path]:
    """The jars that give the installed pyspark S3A, downloaded by Maven on first use.

    Raises:
        PermanentError: pyspark is not the version these jars belong to, or there is neither an
            intact cached copy nor a Maven that can fetch one.
    """
    import pyspark

    client = Path(pyspark.__file__).parent / "jars" / f"hadoop-client-api-{HADOOP_VERSION}.jar"
    if pyspark.__version__ != PYSPARK_VERSION or not client.is_file():
        raise PermanentError(
            f"The simulator's S3A is that of pyspark {PYSPARK_VERSION} with Hadoop {HADOOP_VERSION}, and pyspark is "
            f"{pyspark.__version__}: adjust the versions in {__file__} together."
        )
    return resolve_jars(S3A_JARS, cache)
