"""The file that spark-submit runs on the cluster: check Python, fetch the request and the code, hand over.

Put here only what must work before first-party code can be imported. It is uploaded alone, imports
nothing but the standard library and boto3, and keeps to syntax that an old Python can read, so that
the message about the old Python can be sent.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
import time
import traceback
import zipfile
from typing import Any


def main(argument: str) -> int:
    """Run the step that `s3://bucket/<attempt>/request.json#sha256=<hex>` asks for; returns the exit code."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        sys.stderr.write(f"boto3 is missing from {sys.executable}, the cluster's Python: check the bootstrap action.\n")
        return 3
    uri, _, digest = argument.partition("#sha256=")
    bucket, _, key = uri[len("s3://") :].partition("/")
    s3 = boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 8}))
    request = json.loads(fetch(s3, bucket, key, digest))["body"]
    attempt = key.rpartition("/")[0]

    def refuse(outcome: str, message: str) -> int:
        sys.stderr.write(message + "\n")
        end = {"outcome": outcome, "message": message, "permanent": True}
        body = {"format": request["format"], "sequence": 1, "events": [], "end": end}
        content = json.dumps(body, sort_keys=True, separators=(",", ":"))
        encoded = f'{{"sha256":"{hashlib.sha256(content.encode()).hexdigest()}","body":{content}}}'
        # Never over an object that another start of the same attempt has written.
        key = f"{attempt}/events/000001.json"
        s3.put_object(Bucket=bucket, Key=key, Body=encoded.encode(), IfNoneMatch="*", **request["encryption"])
        return 3

    python, expected = f"{sys.version_info[0]}.{sys.version_info[1]}", request["versions"]["python"]
    if python != expected:
        return refuse(
            "refused",
            f"Version skew: Python is {python} on the cluster ({sys.executable}) and {expected} where the run was "
            "launched. Choose the cluster's Python with spark.pyspark.python, or launch with the same one.",
        )
    try:
        # Before any import of first-party code: its settings are read while it is imported.
        os.environ.update(request["environment"])
        problem = fetch_secrets(request["secrets"])
        if problem:
            return refuse("refused", problem)
        if request["code"]["uri"]:
            code_bucket, _, code_key = request["code"]["uri"][len("s3://") :].partition("/")
            unpack(fetch(s3, code_bucket, code_key, request["code"]["sha256"]))
        versions = __import__(request["library"] + ".protocol.versions", fromlist=["differences"])
        problems = versions.differences(request["versions"], request["modules"])
        if problems:
            return refuse(
                "refused", "Version skew: " + "; ".join(problems) + ". Build a new cluster, or launch from it."
            )
        step_runner = __import__(request["library"] + ".remote.step_runner", fromlist=["run"])
    except Exception:  # every reason why the code does not start must reach the user
        return refuse("crashed", f"The code did not start on the cluster.\n{traceback.format_exc()}")
    return int(step_runner.run(request, f"s3://{bucket}/{attempt}"))


def fetch(s3: Any, bucket: str, key: str, sha256: str) -> bytes:
    """An object whose content must have this hash."""
    from botocore.exceptions import BotoCoreError

    problem = ""
    # A body that breaks off is not among the things that boto3 tries again.
    for wait in (0, 1, 3):
        time.sleep(wait)
        try:
            raw: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except BotoCoreError as error:
            problem = f"cannot be read: {error}"
            continue
        if hashlib.sha256(raw).hexdigest() == sha256:
            return raw
        problem = "is not what was sent: its hash differs"
    raise SystemExit(f"s3://{bucket}/{key} {problem}. Nothing was run.")


def fetch_secrets(references: Any) -> str:
    """Put secrets into the environment; returns why one cannot be read, without its value."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    for reference in references:
        name, variable, key = reference["name"], reference["variable"], reference["key"]
        try:
            if reference["service"] == "ssm":
                answer = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
                value = answer["Parameter"]["Value"]
            else:
                value = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
            os.environ[variable] = str(json.loads(value)[key]) if key else value
        except (BotoCoreError, ClientError) as error:
            return (
                f"The secret {name} for {variable} cannot be read on the node: {error}. Check the name, and allow its "
                "role secretsmanager:GetSecretValue or ssm:GetParameter on it."
            )
        except (KeyError, TypeError, ValueError):
            wanted = f"a JSON object with the key {key!r}" if key else "text"
            return f"The secret {name} for {variable} does not hold {wanted}."
    return ""


def unpack(content: bytes) -> None:
    """Put the shipped packages ahead on the path, as files: code may read data that lies beside it."""
    folder = tempfile.mkdtemp(prefix="shipped-code-")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)  # the hash proves that the launcher made this zip
    # Second, because Dagster takes the first entry away while it loads a code location.
    sys.path.insert(1, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
