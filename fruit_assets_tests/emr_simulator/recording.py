"""What the simulator saw: every request to any AWS service, for assertions and for counting.

Put here the record and how it is filled. It decides nothing about the answer.
"""

import datetime
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from fruit_assets_tests.emr_simulator.serverless import wire

# The access key identifies the caller, as in CloudTrail.
ORCHESTRATOR_KEY = "AKIAORCHESTRATOR0000"
CLUSTER_KEY = "ASIAINSTANCEPROFILE0"
OWN_KEY = "AKIASIMULATOR0000000"
_CALLERS = {ORCHESTRATOR_KEY: "orchestrator", CLUSTER_KEY: "cluster", OWN_KEY: "simulator"}


@dataclass
class Request:
    """One request to AWS.

    Attributes:
        service: signing name, such as `elasticmapreduce` or `s3`.
        operation: EMR's or EMR Serverless's operation; for S3 the likely one; for others the action where it is known.
        params: EMR's parameters; for S3 `Bucket` and `Key`.
        at: when it arrived.
        caller: `orchestrator`, `cluster` (the steps) or `simulator` (the agents themselves).
        region: the region it was signed for.
        status: HTTP status of the answer; 0 while it is under way or when the connection was dropped.
        bytes_in: bytes of the request's body.
        bytes_out: bytes of the answer's body.
    """

    service: str
    operation: str
    params: dict[str, Any]
    at: datetime.datetime
    caller: str
    region: str
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass
class Recording:
    """All requests in order of arrival."""

    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, environ: dict[str, Any]) -> Request:
        """Note a request before it is answered."""
        key, region, service = _signature(environ)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if service == "s3":
            operation, params = _s3_operation(environ)
        elif service == wire.SERVICE:
            operation, params = wire.route(environ)
        else:
            # Read here, so that a request which is dropped or refused unread is still known by what it asked.
            operation, params = target.rpartition(".")[2], _json_params(environ) if target else {}
        request = Request(
            service,
            operation,
            params,
            datetime.datetime.now(datetime.UTC),
            _CALLERS.get(key, key or "anonymous"),
            region,
        )
        request.bytes_in = int(environ.get("CONTENT_LENGTH") or 0)
        with self._lock:
            self.requests.append(request)
        return request

    def calls(self, operation: str, caller: str | None) -> Iterator[Request]:
        with self._lock:
            requests = list(self.requests)
        return (
            request
            for request in requests
            if request.operation == operation
            and (request.caller == caller if caller else request.caller != "simulator")
        )


def _signature(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Access key, region and service of the signature."""
    _, _, credential = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    parts = credential.split(",")[0].split("/")
    if len(parts) < 5:
        return "", "us-east-1", "s3"
    return parts[0], parts[2], parts[3]


def _json_params(environ: dict[str, Any]) -> dict[str, Any]:
    """The parameters in a JSON body, which stays readable; empty when there are none."""
    raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(raw)
    try:
        params = json.loads(raw)
    except ValueError:
        return {}
    return params if isinstance(params, dict) else {}


def _s3_operation(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    bucket, _, key = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").lstrip("/").partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    method = environ["REQUEST_METHOD"]
    params: dict[str, Any] = {"Bucket": bucket, "Key": key} if key else {"Bucket": bucket}
    if not key:
        if method == "GET" and ("list-type" in query or not query):
            params["Prefix"] = query.get("prefix", [""])[0]
            return "ListObjectsV2", params
        if method == "POST" and "delete" in query:
            return "DeleteObjects", params
        return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}.get(method, "GetBucket"), params
    if "uploads" in query or "uploadId" in query:
        parts = {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return parts.get(method, "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"), params
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject", params
    return {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(
        method, method
    ), params
