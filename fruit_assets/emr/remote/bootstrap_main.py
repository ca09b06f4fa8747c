"""The file that spark-submit runs on the cluster: check Python, fetch the request and the code, start the step.

Put here only what must work before first-party code can be imported. It is uploaded alone, imports
only the standard library and boto3, and keeps to syntax that an old Python can parse, so that
an old Python can report the version skew.
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
    """Run the step that `s3://bucket/<attempt>/request.json#sha256=<hex>` describes; returns the exit code."""
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
    try:
        outcome, problem = "refused", python_skew(request["versions"]["python"]) or load_code(s3, request)
        if not problem:
            step_runner = __import__(request["library"] + ".remote.step_runner", fromlist=["run"])
    except Exception:  # every reason why the code does not start must reach the user
        outcome, problem = "crashed", f"The code did not start on the cluster.\n{traceback.format_exc()}"
    if problem:
        sys.stderr.write(problem + "\n")
        body, key = final_message(request["format"], outcome, problem), f"{attempt}/events/000001.json"
        # IfNoneMatch keeps what another start of the same attempt has written.
        s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*", **request["encryption"])
        return 3
    return int(step_runner.run(request, f"s3://{bucket}/{attempt}"))


def python_skew(expected: str) -> str:
    """Why this Python cannot run the step; empty when it can."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python == expected:
        return ""
    return (
        f"Version skew: Python is {python} on the cluster ({sys.executable}) and {expected} where the run was "
        "launched. Choose the cluster's Python with spark.pyspark.python, or launch with the same one."
    )


def load_code(s3: Any, request: Any) -> str:
    """Set the environment and make the shipped code importable; returns why the step must not run, or nothing."""
    # Before any import of first-party code: its settings are read while it is imported.
    os.environ.update(request["environment"])
    problem = fetch_secrets(request["secrets"])
    if problem:
        return problem
    if request["code"]["uri"]:
        bucket, _, key = request["code"]["uri"][len("s3://") :].partition("/")
        unpack(fetch(s3, bucket, key, request["code"]["sha256"]))
    versions = __import__(request["library"] + ".protocol.versions", fromlist=["differences"])
    problems = versions.differences(request["versions"], request["modules"])
    return "Version skew: " + "; ".join(problems) + ". Build a new cluster, or launch from it." if problems else ""


def final_message(message_format: int, outcome: str, message: str) -> bytes:
    """The only events object of a step that did not start, as `protocol/messages.py` encodes it."""
    end = {"outcome": outcome, "message": message, "permanent": True}
    body = {"format": message_format, "sequence": 1, "events": [], "end": end}
    content = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f'{{"sha256":"{hashlib.sha256(content.encode()).hexdigest()}","body":{content}}}'.encode()


def fetch(s3: Any, bucket: str, key: str, sha256: str) -> bytes:
    """The content of an object, verified by its hash."""
    from botocore.exceptions import BotoCoreError

    problem = ""
    # boto3 does not retry when the connection breaks while a body is read.
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
    """Set environment variables from secrets; returns why one cannot be read, or nothing. Never shows a value."""
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
    """Extract the shipped packages and put them first on the path: as files, because code may read its data files."""
    folder = tempfile.mkdtemp(prefix="shipped-code-")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)  # the hash proves that the launcher made this zip
    # At index 1, because Dagster removes the first entry while it loads a code location.
    sys.path.insert(1, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
