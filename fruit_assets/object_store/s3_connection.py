"""The connection to S3: a boto3 client, and the same configuration for delta-rs.

Put here how a process connects to S3. boto3 resolves the configuration (profile, SSO, endpoint, region, private CA,
proxy, credentials that it renews); `delta_options` converts it for delta-rs. Stored content does not belong here.
"""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_BODY_ATTEMPTS = 3
_CONNECTIONS = 20  # of one client: the threads that read images share it


class S3Route(NamedTuple):
    """Region and endpoint of S3, sent to workers. Each process uses its own credentials, CA and proxy."""

    region: str | None = None
    endpoint_url: str | None = None


class S3Connection:
    """A boto3 client that picks up credentials which are renewed during a run. Thread-safe."""

    def __init__(self, route: S3Route, session: Any) -> None:
        self._route = route
        self._lock = threading.Lock()
        self._session = session
        self._client = self._new_client(session)

    @property
    def route(self) -> S3Route:
        """Region and endpoint as boto3 resolved them; no endpoint if it is AWS's default for the region."""
        region, endpoint = self._client.meta.region_name, self._client.meta.endpoint_url
        own = endpoint in ("https://s3.amazonaws.com", f"https://s3.{region}.amazonaws.com")
        return S3Route(region, None if own else endpoint)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call S3; repeats a call that was refused for an expired token, if there are new credentials."""
        return self.run(lambda client: getattr(client, operation)(**arguments))

    def run(self, request: Callable[[Any], T]) -> T:
        """Like `call`, for a request that also reads the body; repeated when the connection breaks within it."""
        from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        for attempt in range(_BODY_ATTEMPTS):
            client = self._client
            try:
                return request(client)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _EXPIRED or not self._renewed(client):
                    raise
            # boto3 retries requests, but not the reading of a body.
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                time.sleep(attempt)
        return request(self._client)

    def delta_options(self) -> dict[str, str]:
        """The same region, endpoint, credentials, CA and proxy for delta-rs, as `storage_options`.

        The credentials may expire: request new options for every table that is opened.
        """
        from botocore.utils import get_environ_proxies

        region, endpoint = self.route
        options = {"aws_region": region, "aws_endpoint_url": endpoint, **self._keys()}
        url = self._client.meta.endpoint_url
        options["allow_http"] = "true" if url.startswith("http://") else None
        # boto3's default session has read AWS_CA_BUNDLE or the profile's ca_bundle.
        bundle = self._session._session.get_config_variable("ca_bundle")
        proxy = get_environ_proxies(url).get(urlsplit(url).scheme)
        if bundle and not proxy:
            # delta-rs accepts a CA only together with a proxy: name one that is excluded for this host.
            options |= {"proxy_url": "http://unused.invalid", "proxy_excludes": urlsplit(url).hostname}
        elif proxy:
            options["proxy_url"] = proxy if "://" in proxy else f"http://{proxy}"
        if bundle:
            options["proxy_ca_certificate"] = Path(bundle).read_text()
        return {name: value for name, value in options.items() if value}

    def _keys(self) -> dict[str, str | None]:
        from botocore.credentials import RefreshableCredentials

        if not isinstance(self._session.get_credentials(), RefreshableCredentials):
            self._renewed(self._client)
        if (frozen := _frozen(self._session)) is None:
            return {}
        return {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
            "aws_session_token": frozen.token,
        }

    def _renewed(self, client: Any) -> bool:
        """Whether there are newer credentials than those of `client`: boto3 reads variables and files only once."""
        import boto3

        with self._lock:
            if self._client is client:
                session = boto3.Session()
                if _frozen(session) == _frozen(self._session):
                    return False
                self._session, self._client = session, self._new_client(session)
            return True

    def _new_client(self, session: Any) -> Any:
        from botocore.config import Config

        config = Config(max_pool_connections=_CONNECTIONS, retries={"mode": "standard", "max_attempts": 8})
        region, endpoint = self._route
        return session.client("s3", config=config, region_name=region, endpoint_url=endpoint)


def connect(route: S3Route) -> S3Connection:
    """A connection to S3. A worker has received a route and shares one connection per process."""
    return _connection_of_process(route) if route.region else S3Connection(route, _default_session())


@lru_cache(maxsize=4)
def _connection_of_process(route: S3Route) -> S3Connection:
    """Shared by the tasks of a worker process, because resolving credentials may take seconds."""
    return S3Connection(route, _default_session())


def _default_session() -> Any:
    import boto3

    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    return boto3.DEFAULT_SESSION


def _frozen(session: Any) -> Any:
    credentials = session.get_credentials()
    return credentials.get_frozen_credentials() if credentials is not None else None
