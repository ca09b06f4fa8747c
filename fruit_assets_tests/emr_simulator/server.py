"""One HTTP endpoint for all of AWS: EMR is answered here, everything else by moto.

Put here the way of a request: recorded, perhaps spoilt by a fault, dispatched, answered. What an
operation means belongs to the operations.
"""

import functools
import io
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from fruit_assets_tests.emr_simulator.faults import Faults
from fruit_assets_tests.emr_simulator.quotas import Quotas
from fruit_assets_tests.emr_simulator.recording import Recording, Request
from fruit_assets_tests.emr_simulator.serialisation import TARGET_PREFIX, EmrError, parse_request, serialise
from fruit_assets_tests.emr_simulator.serverless import wire

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Answer = tuple[str, list[tuple[str, str]], bytes]
Operation = Callable[[str, dict[str, Any]], dict[str, Any]]

_TYPE = "application/x-amz-json-1.1"
_EXPIRED = "The security token included in the request is expired"
_WRITES = ("PutObject", "CompleteMultipartUpload", "CopyObject")
_HIDDEN_AFTER_TRUNCATION = ("content-length", "etag", "x-amz-checksum")


class QuietHandler(MotoRequestHandler):
    """Moto's handler of HTTP requests, without a log line for each."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        return


class Endpoint:
    """The WSGI application.

    Args:
        account: account id that moto keeps its resources under.
        find_operation: the method that answers an EMR operation; None where only moto could.
        find_serverless: the method that answers an operation of EMR Serverless.
        lock: held while an EMR operation is carried out.
        quotas: EMR's rates; None leaves them out.
    """

    def __init__(
        self,
        account: str,
        find_operation: Callable[[str], Operation | None],
        find_serverless: Callable[[str], Operation],
        recording: Recording,
        faults: Faults,
        lock: threading.Condition,
        quotas: Quotas | None,
    ) -> None:
        self._account = account
        self._find_operation = find_operation
        self._find_serverless = find_serverless
        self._recording = recording
        self._faults = faults
        self._lock = lock
        self._quotas = quotas
        self._moto = _moto()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        request = self._recording.record(environ)
        is_ours = request.caller == "simulator"
        dropped = None if is_ours else self._faults.take("drop", request.operation, request.caller)
        if dropped is not None and not dropped.text:
            _drop(environ)
        status, headers, body = self._answer(environ, request)
        if dropped is not None:
            _drop(environ)
        request.status, request.bytes_out = int(status.split()[0]), len(body)
        start_response(status, headers)
        if request.operation == "GetObject" and body and self._faults.take("break", request.params.get("Key", "")):
            return _broken_off(environ, body)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: Environ, request: Request) -> Answer:
        if request.caller == "orchestrator" and self._faults.take("token") is not None:
            return _expired(request)
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith(TARGET_PREFIX):
            return self._emr(environ, request)
        if request.service == wire.SERVICE:
            return self._serverless(environ, request)
        return self._elsewhere(environ, request)

    def _serverless(self, environ: Environ, request: Request) -> Answer:
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            request.params = wire.parse(request.operation, request.params, raw)
            if (order := self._faults.take("answer", request.operation, request.caller)) and order.error:
                raise order.error
            if self._quotas is not None and not self._quotas.allow(request.operation):
                raise EmrError("ThrottlingException", "Rate exceeded")
            operation = self._find_serverless(request.operation)
            with self._lock:
                answer = operation(request.region, request.params)
            return "200 OK", headers, wire.serialise(request.operation, answer)
        except EmrError as error:
            return f"{error.status} Error", headers, error.body()

    def _emr(self, environ: Environ, request: Request) -> Answer:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        raw = environ["wsgi.input"].read(length)
        headers = [("Content-Type", _TYPE), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            request.params = parse_request(request.operation, raw)
            if (order := self._faults.take("answer", request.operation, request.caller)) and order.error:
                raise order.error
            if self._quotas is not None and not self._quotas.allow(request.operation):
                raise EmrError("ThrottlingException", "Rate exceeded")
            operation = self._find_operation(request.operation)
            if operation is None:
                environ["wsgi.input"] = io.BytesIO(raw)
                return self._elsewhere(environ, request)
            with self._lock:
                answer = operation(request.region, request.params)
            return "200 OK", headers, serialise(request.operation, answer)
        except EmrError as error:
            return f"{error.status} Error", headers, error.body()

    def _elsewhere(self, environ: Environ, request: Request) -> Answer:
        """Moto's answer, for S3 with its faults."""
        key = request.params.get("Key", "") if request.service == "s3" else ""
        if request.service == "s3" and request.caller != "simulator":
            order = self._faults.take("answer", request.operation, request.caller)
            if order is not None and order.error is not None:
                return _xml_error(request.service, order.error)
        if request.operation in _WRITES:
            time.sleep(self._faults.delay_of(key))
        started: list[Any] = []
        # Read at once: the body is needed whole to be counted, and small in tests.
        chunks = self._moto(environ, lambda status, headers, *_: started.extend([status, list(headers)]))
        body = b"".join(chunks)
        if close := getattr(chunks, "close", None):
            close()
        status, headers = started
        if key and request.operation == "GetObject" and body and self._faults.take("truncate", key):
            body = body[: len(body) // 2]
            headers = [pair for pair in headers if not pair[0].lower().startswith(_HIDDEN_AFTER_TRUNCATION)]
            headers.append(("Content-Length", str(len(body))))
        return status, headers, body


@functools.lru_cache(maxsize=1)
def _moto() -> DomainDispatcherApplication:
    """Moto's application: one for all simulators, which differ by account."""
    return DomainDispatcherApplication(create_backend_app)


class Server:
    """The endpoint behind a port of its own on 127.0.0.1, a thread for each connection."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._server = make_server("127.0.0.1", 0, endpoint, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="aws", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _drop(environ: Environ) -> None:
    """Close the connection under the request."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("dropped on order of a test")


def _broken_off(environ: Environ, body: bytes) -> Iterable[bytes]:
    """Half of a body, and then no more of it, though its length was announced."""
    yield body[: len(body) // 2]
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def _expired(request: Request) -> Answer:
    """The refusal of an expired token in the protocol of the service."""
    if request.service in ("elasticmapreduce", wire.SERVICE):
        return "400 Error", [("Content-Type", _TYPE)], EmrError("ExpiredTokenException", _EXPIRED).body()
    return _xml_error(request.service, EmrError("ExpiredToken", _EXPIRED, 400 if request.service == "s3" else 403))


def _xml_error(service: str, error: EmrError) -> Answer:
    """An error as S3 writes it, or as STS and IAM do."""
    text = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    text = f"<Error>{text}</Error>"
    if service != "s3":
        text = f"<ErrorResponse>{text}</ErrorResponse>"
    headers = [("Content-Type", "application/xml")]
    return f"{error.status} Error", headers, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
