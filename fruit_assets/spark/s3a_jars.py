"""S3 for the local Spark: the jars behind `s3://`, and the Hadoop settings they need.

Put here the versions that belong to the pinned pyspark, and how endpoint, encryption and
credentials reach S3A. On EMR none of this is used: the cluster brings its own S3A.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.errors import PermanentError
from fruit_assets.spark.jar_cache import JarSet, cached_jars, maven_command, resolve_jars

if TYPE_CHECKING:
    from pyspark import SparkContext

PYSPARK_VERSION = "4.1.1"
# The Hadoop that pyspark 4.1.1 was built with, and the AWS SDK that this Hadoop was built with.
HADOOP_VERSION = "3.4.2"
AWS_SDK_VERSION = "2.29.52"

_SDK = "software.amazon.awssdk"
_HADOOP_AWS = f"org.apache.hadoop:hadoop-aws:{HADOOP_VERSION}"
# These three modules and what they depend on are 14 MB; the bundle hadoop-aws asks for is 600 MB.
_SDK_MODULES = tuple(f"{_SDK}:{module}:{AWS_SDK_VERSION}" for module in ("s3", "s3-transfer-manager", "sts"))
# Spark brings netty and slf4j; wildfly only speeds up TLS.
_SPARKS_OWN = ("io.netty", "org.slf4j")
_EXCLUDED = (f"{_SDK}:bundle", "org.wildfly.openssl:wildfly-openssl")
# Ivy knows no excluded groups, so the artifacts Spark would otherwise have twice are named.
_IVY_EXCLUDED = (
    *_EXCLUDED,
    "org.slf4j:slf4j-api",
    *(
        f"io.netty:netty-{name}"
        for name in (
            "buffer", "codec", "codec-http", "codec-http2", "common", "handler", "resolver", "transport",
            "transport-classes-epoll", "transport-native-epoll", "transport-native-unix-common",
        )
    ),
)  # fmt: skip

S3A_JARS = JarSet(f"s3a-{HADOOP_VERSION}", (_HADOOP_AWS, *_SDK_MODULES), _EXCLUDED, _SPARKS_OWN)

_S3A = "org.apache.hadoop.fs.s3a"
# Found by boto3 where the machine has a role; S3A finds them too, and renews them by itself.
_RENEWED_BY_S3A = frozenset({"iam-role", "container-role"})


@dataclass(frozen=True)
class S3Credentials:
    """AWS credentials for S3A. Shows no secret when printed."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def resolve_s3a_jars(cache: Path) -> list[Path]:
    """The jars that give the installed pyspark S3A, downloaded by Maven on first use.

    Args:
        cache: folder for what can be rebuilt.

    Raises:
        PermanentError: pyspark is not the version these jars belong to, or there is neither an
            intact cached copy nor a Maven that can fetch one.
    """
    check_versions()
    return resolve_jars(S3A_JARS, cache)


def s3a_packages_conf() -> dict[str, str]:
    """Spark settings that let Spark's own Ivy fetch the jars: for machines without Maven, slower at every start."""
    check_versions()
    return {
        "spark.jars.packages": ",".join((_HADOOP_AWS, *_SDK_MODULES)),
        "spark.jars.excludes": ",".join(_IVY_EXCLUDED),
    }


def s3a_jars_conf(cache: Path) -> dict[str, str]:
    """Spark settings that put S3A on the class path: cached or Maven's jars, or Ivy where there is no Maven.

    Raises:
        PermanentError: see `resolve_s3a_jars`.
    """
    check_versions()
    if maven_command() is None and not cached_jars(S3A_JARS, cache):
        return s3a_packages_conf()
    return {"spark.jars": ",".join(str(jar) for jar in resolve_s3a_jars(cache))}


def check_versions() -> None:
    """Refuse a pyspark whose Hadoop is not the one the S3A jars are made for.

    Raises:
        PermanentError: names both versions.
    """
    import pyspark

    client = Path(pyspark.__file__).parent / "jars" / f"hadoop-client-api-{HADOOP_VERSION}.jar"
    if pyspark.__version__ != PYSPARK_VERSION or not client.is_file():
        raise PermanentError(
            f"S3 access is prepared for pyspark {PYSPARK_VERSION} with Hadoop {HADOOP_VERSION}, but pyspark "
            f"{pyspark.__version__} in {client.parent.parent} is another: install pyspark=={PYSPARK_VERSION}, or "
            "adjust the versions in fruit_assets/spark/s3a_jars.py together."
        )


def s3a_conf(
    endpoint_url: str | None,
    region: str | None,
    sse: str | None,
    kms_key_id: str | None,
    credentials: S3Credentials | None,
) -> dict[str, str]:
    """Spark settings for S3A, without any secret: see `hand_over_credentials`.

    Args:
        endpoint_url: an S3-compatible store, addressed path-style; None is AWS itself.
        region: AWS region; None lets the SDK find it.
        sse: `AES256`, `aws:kms`, or None for the bucket's default.
        kms_key_id: key for `aws:kms`; None is the account's default key.
        credentials: what will be handed over; None leaves it to S3A's own chain.

    Raises:
        PermanentError: `sse` is not one of the three.
    """
    conf = {
        "fs.s3.impl": f"{_S3A}.S3AFileSystem",
        # Readers trust only what a manifest lists, so tasks may move their files before the job ends.
        "mapreduce.fileoutputcommitter.algorithm.version": "2",
    }
    if endpoint_url is not None:
        conf |= {"fs.s3a.endpoint": endpoint_url, "fs.s3a.path.style.access": "true"}
    if region is not None:
        conf["fs.s3a.endpoint.region"] = region
    if credentials is not None:
        kind = "Temporary" if credentials.session_token else "Simple"
        conf["fs.s3a.aws.credentials.provider"] = f"{_S3A}.{kind}AWSCredentialsProvider"
    return {f"spark.hadoop.{key}": value for key, value in conf.items()} | encryption_conf(sse, kms_key_id)


def resolve_credentials() -> S3Credentials | None:
    """The credentials boto3 finds (variables, profiles, SSO, assumed roles); None where S3A finds and renews its own.

    Raises:
        PermanentError: boto3 found none, or could not load them.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.Session().get_credentials()
        frozen = found.get_frozen_credentials() if found is not None else None
    except BotoCoreError as error:
        raise PermanentError(
            f"AWS credentials could not be loaded: {error}. Log in again or check AWS_PROFILE."
        ) from error
    if found is None or frozen is None or frozen.access_key is None or frozen.secret_key is None:
        raise PermanentError(
            "S3 is in use, but there are no AWS credentials: run 'aws configure' or 'aws sso login', or set "
            "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if found.method in _RENEWED_BY_S3A:
        return None
    return S3Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def hand_over_credentials(context: "SparkContext", credentials: S3Credentials | None) -> None:
    """Give a running Spark its credentials, through memory only: no command line, log or event log shows them.

    Call it before the first S3 path is opened: open file systems keep the credentials they started with.
    """
    if credentials is None:
        return
    hadoop = context._jsc.hadoopConfiguration()  # the only way to it in Python
    hadoop.set("fs.s3a.access.key", credentials.access_key)
    hadoop.set("fs.s3a.secret.key", credentials.secret_key)
    if credentials.session_token:
        hadoop.set("fs.s3a.session.token", credentials.session_token)


def encryption_conf(sse: str | None, kms_key_id: str | None) -> dict[str, str]:
    """Spark settings that make S3A ask for encryption on every write; on EMR too.

    Args:
        sse: `AES256`, `aws:kms`, or None for the bucket's default.
        kms_key_id: key for `aws:kms`; None is the account's default key.

    Raises:
        PermanentError: `sse` is not one of the three.
    """
    algorithms = {None: None, "AES256": "AES256", "aws:kms": "SSE-KMS"}
    if sse not in algorithms:
        raise PermanentError(
            f"Server-side encryption {sse!r} is not known to S3: use AES256 or aws:kms, or leave it out."
        )
    algorithm = algorithms[sse]
    conf = {} if algorithm is None else {"fs.s3a.encryption.algorithm": algorithm}
    if sse == "aws:kms" and kms_key_id is not None:
        conf["fs.s3a.encryption.key"] = kms_key_id
    return {f"spark.hadoop.{key}": value for key, value in conf.items()}
