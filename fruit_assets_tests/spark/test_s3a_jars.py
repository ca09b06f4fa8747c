"""S3A for the local Spark: real jars from Maven, real S3A, moto's S3 behind a real socket."""

import concurrent.futures
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.spark import jar_cache, s3a_jars
from fruit_assets.spark.s3a_jars import S3Credentials
from fruit_assets_tests.emr_simulator import EmrSimulator

CACHE = Path.home() / ".cache" / "fruit_assets"
KEYS = ("images/pear/1.jpg", "images/fig 2/b c.jpg", "images/é%23=# x/a b%20.jpg", "images/a=1/ü+%.PNG")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory, maven_jars: None) -> Iterator[EmrSimulator]:
    with EmrSimulator(tmp_path_factory.mktemp("s3")) as simulator:
        simulator.create_bucket("s3a-fruit")
        for key in KEYS:
            simulator.client("s3").put_object(Bucket="s3a-fruit", Key=key, Body=key.encode())
        yield simulator


@pytest.fixture(scope="module")
def answer(s3: EmrSimulator) -> dict:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_"))}
    environment |= s3.environment() | {"AWS_SESSION_TOKEN": "orchestrator-token"}
    command = [sys.executable, "-m", "fruit_assets_tests.spark.s3a_session", "s3a-fruit", s3.endpoint_url, s3.region]
    result = subprocess.run([*command, str(CACHE)], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]) | {"stderr": result.stderr}


def test_spark_reads_objects_under_their_true_names(answer):
    assert answer["images"] == {f"s3://s3a-fruit/{key}": key for key in KEYS}
    assert answer["one"] == 1


def test_spark_overwrites_a_table_on_s3_encrypted_as_asked(answer, s3):
    assert answer["rows"] == 20
    client = s3.client("s3")
    parts = client.list_objects_v2(Bucket="s3a-fruit", Prefix="table/part-")["Contents"]
    heads = [client.head_object(Bucket="s3a-fruit", Key=part["Key"]) for part in parts]
    assert {(head["ServerSideEncryption"], head["SSEKMSKeyId"]) for head in heads} == {("aws:kms", "alias/fruit")}


def test_credentials_are_on_no_command_line_and_in_no_spark_setting(answer, s3):
    shown = [*answer["arguments"], *answer["conf"].values(), answer["stderr"]]
    secrets = [s3.environment()["AWS_SECRET_ACCESS_KEY"], "orchestrator-token"]
    assert not [text for text in shown for secret in secrets if secret in text]
    assert any("SparkSubmit" in argument for argument in answer["arguments"])
    assert secrets[0] not in repr(S3Credentials("key", *secrets))


def test_a_broken_cache_is_built_again_by_two_at_a_time(tmp_path):
    small = jar_cache.JarSet("small", ("org.hamcrest:hamcrest-core:1.3",))
    (jar,) = jar_cache.resolve_jars(small, tmp_path)
    size = jar.stat().st_size
    jar.write_bytes(b"torn")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        resolved = list(pool.map(lambda _: jar_cache.resolve_jars(small, tmp_path), range(2)))
    assert resolved == [[jar], [jar]]
    assert jar.stat().st_size == size
    assert [folder.name for folder in (tmp_path / "jars").iterdir()] == [small.key]


def test_without_maven_a_cached_copy_serves_and_otherwise_ivy(maven_jars, tmp_path, monkeypatch):
    cached = s3a_jars.resolve_s3a_jars(CACHE)
    assert len(cached) == 39
    monkeypatch.setenv("PATH", str(tmp_path))
    assert s3a_jars.s3a_jars_conf(CACHE) == {"spark.jars": ",".join(map(str, cached))}
    ivy = s3a_jars.s3a_jars_conf(tmp_path)
    assert "org.apache.hadoop:hadoop-aws:3.4.2" in ivy["spark.jars.packages"].split(",")
    assert "software.amazon.awssdk:bundle" in ivy["spark.jars.excludes"].split(",")
    with pytest.raises(PermanentError, match="install Maven"):
        s3a_jars.resolve_s3a_jars(tmp_path)


def test_a_failed_download_says_what_maven_said_and_leaves_nothing(tmp_path):
    unknown = jar_cache.JarSet("none", ("fruit.assets.invalid:no-such-artifact:1",))
    with pytest.raises(PermanentError, match=r"(?s)could not fetch the jars of 'none'.*no-such-artifact"):
        jar_cache.resolve_jars(unknown, tmp_path)
    assert list((tmp_path / "jars").iterdir()) == []


def test_credentials_of_a_profile_become_s3a_s_and_their_absence_is_explained(tmp_path, monkeypatch):
    with pytest.raises(PermanentError, match="aws sso login"):
        s3a_jars.resolve_credentials()
    profile = "[fruit]\naws_access_key_id=key\naws_secret_access_key=secret\naws_session_token=token\n"
    (tmp_path / "credentials").write_text(profile)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "fruit")
    credentials = s3a_jars.resolve_credentials()
    assert credentials == S3Credentials("key", "secret", "token")
    conf = s3a_jars.s3a_conf(None, "eu-west-3", "AES256", None, credentials)
    assert conf["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith(".TemporaryAWSCredentialsProvider")
    assert conf["spark.hadoop.fs.s3a.encryption.algorithm"] == "AES256"
    assert "spark.hadoop.fs.s3a.endpoint" not in conf


def test_another_pyspark_is_refused(monkeypatch):
    monkeypatch.setattr("pyspark.__version__", "4.0.2")
    with pytest.raises(PermanentError, match=r"4\.1\.1 .* but pyspark 4\.0\.2"):
        s3a_jars.check_versions()
