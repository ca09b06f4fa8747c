"""An object store inside a company: TLS by a private CA, and reachable by its name only through a proxy.

Put here moto over TLS and a proxy that tunnels to it. Which clients find the way there is asserted by the tests.
"""

import os
import secrets
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import trustme

# The name is in no DNS: a client that resolves it has not asked the proxy.
_NAME = "objectstore"
_ROUTE_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@dataclass(frozen=True)
class PrivateCloud:
    """Where it is: `direct_url` by address, `url` by a name that only the proxy knows; both TLS.

    Attributes:
        tunnels: the first lines of what was asked of the proxy.
        expired: session tokens that S3 refuses, to be filled by tests.
        unreadable: starts of paths, as `/bucket/prefix`, below which GetObject is refused, to be filled by tests.
    """

    direct_url: str
    url: str
    proxy_url: str
    ca_bundle: Path
    tunnels: list[str]
    expired: set[str]
    unreadable: set[str]


class _Tunnel(socketserver.StreamRequestHandler):
    """Answers CONNECT and passes bytes on both ways."""

    server: "_Proxy"

    def handle(self) -> None:
        self.server.tunnels.append(self.rfile.readline().decode().strip())
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.server.target)) as cloud:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ends = {self.connection: cloud, cloud: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    content = end.recv(65536)
                    if not content:
                        return
                    ends[end].sendall(content)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128  # of 5, workers that connect at once would lose some on a busy machine

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.target = target
        self.tunnels: list[str] = []


def _serve(server: Any) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


_ACCESS_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_EXPIRED_TOKEN = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


def _moto_over_tls(authority: "trustme.CA", expired: set[str], unreadable: set[str]) -> Any:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", _NAME).configure_cert(context)
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_X_AMZ_SECURITY_TOKEN") in expired:
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [_EXPIRED_TOKEN]
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].startswith(tuple(unreadable)):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [_ACCESS_DENIED]
        return moto(environ, start_response)

    return make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context, request_handler=Quiet)


@pytest.fixture(scope="session")
def private_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCloud]:
    """The cloud of the test process."""
    import trustme

    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "bundle.pem"
    # Companies' bundles hold several: the one that counts is not the first.
    trustme.CA().cert_pem.write_to_path(str(bundle))
    authority.cert_pem.write_to_path(str(bundle), append=True)
    expired: set[str] = set()
    unreadable: set[str] = set()
    cloud = _moto_over_tls(authority, expired, unreadable)
    proxy = _Proxy(cloud.server_port)
    for server in (cloud, proxy):
        _serve(server)
    direct, named = (f"https://{host}:{cloud.server_port}" for host in ("127.0.0.1", _NAME))
    proxy_url = f"http://127.0.0.1:{proxy.server_address[1]}"
    yield PrivateCloud(direct, named, proxy_url, bundle, proxy.tunnels, expired, unreadable)
    for server in (proxy, cloud):
        server.shutdown()
        server.server_close()


def route_variables(cloud: PrivateCloud, *, by_proxy: bool) -> dict[str, str]:
    """The standard variables of a person who works inside the company."""
    variables = {
        "AWS_ENDPOINT_URL": cloud.url if by_proxy else cloud.direct_url,
        "AWS_CA_BUNDLE": str(cloud.ca_bundle),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    return variables | ({"HTTPS_PROXY": cloud.proxy_url} if by_proxy else {})


@pytest.fixture(params=["private CA", "proxy"])
def private_bucket(
    request: pytest.FixtureRequest, private_cloud: PrivateCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A new bucket in the private cloud; the process environment says how to get there."""
    import boto3

    by_proxy = request.param == "proxy"
    for name in _ROUTE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in route_variables(private_cloud, by_proxy=by_proxy).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of another test
    name = f"fruit-{secrets.token_hex(6)}"
    where = {"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    before = _to_the_store(private_cloud)
    yield name
    assert (_to_the_store(private_cloud) > before) == by_proxy


@pytest.fixture
def sign_in(
    private_bucket: str, private_cloud: PrivateCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], str]:
    """A company's sign-in: rewrites the profile's file, and S3 refuses the token before; returns the new one."""
    import boto3

    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    def sign(number: int) -> str:
        token = f"{private_bucket}-{number}"
        file.write_text(f"[default]\naws_access_key_id=k\naws_secret_access_key=s\naws_session_token={token}\n")
        private_cloud.expired.add(f"{private_bucket}-{number - 1}")
        return token

    return sign


def _to_the_store(private_cloud: PrivateCloud) -> int:
    """Tunnels to the store; libraries that an earlier test used may still be reporting to their makers."""
    return sum(_NAME in line for line in private_cloud.tunnels)
