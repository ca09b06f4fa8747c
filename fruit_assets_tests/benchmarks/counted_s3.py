"""An S3 on this machine that counts what it is asked: moto's, in the process of the benchmark.

Put here the server and its count. What is asked belongs to the benchmarks.
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from fruit_assets_tests.emr_simulator.recording import Recording, Request

_BUCKET, _IMAGES, _ASSETS = "benchmark", "images/", "assets/"
_AT_A_TIME = 8


class CountedS3:
    """A collection and the storage of its assets in one bucket, for the length of a `with` block."""

    def __enter__(self) -> Self:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        from fruit_assets_tests.emr_simulator.server import QuietHandler

        self._recording = Recording()
        moto = DomainDispatcherApplication(create_backend_app)

        def counted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self._recording.record(environ)
            answer: Iterable[bytes] = moto(environ, start_response)
            return answer

        self._server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=QuietHandler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self._client.create_bucket(Bucket=_BUCKET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    def variables(self) -> dict[str, str]:
        """The environment of a process that uses it."""
        return {
            "AWS_ENDPOINT_URL": self._url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
            "FRUIT_ASSETS_IMAGES": f"s3://{_BUCKET}/{_IMAGES}",
            "FRUIT_ASSETS_STORAGE": f"s3://{_BUCKET}/{_ASSETS}",
        }

    def upload(self, folder: Path) -> None:
        """Bring the collection up to date with a folder to which files are added."""
        there = self._sizes(_IMAGES)

        def put(path: Path) -> None:
            key = path.relative_to(folder).as_posix()
            if key not in there:
                self._client.put_object(Bucket=_BUCKET, Key=_IMAGES + key, Body=path.read_bytes())

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(put, (path for path in folder.rglob("*") if path.is_file())))

    def files(self) -> dict[str, int]:
        """Path below the storage -> bytes."""
        return self._sizes(_ASSETS)

    def forget(self) -> None:
        """Count from here."""
        self._recording.requests.clear()

    def count(self) -> Counter[str]:
        """Requests by what they were for: `GET images`, `GET image_features`, `GET logs`, `LIST images`, `PUT`."""
        return Counter(map(_purpose, self._recording.requests))

    def _sizes(self, prefix: str) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET, Prefix=prefix)
        found = (item for page in pages for item in page.get("Contents", []))
        return {item["Key"].removeprefix(prefix): item["Size"] for item in found}

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @cached_property
    def _client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}
        return boto3.client("s3", endpoint_url=self._url, region_name="us-east-1", **keys)


def _purpose(request: Request) -> str:
    verbs = {"GetObject": "GET", "HeadObject": "GET", "ListObjectsV2": "LIST"}
    if (verb := verbs.get(request.operation)) is None:
        return {"PutObject": "PUT"}.get(request.operation, request.operation)
    key = request.params.get("Key", request.params.get("Prefix", ""))
    return f"{verb} {'logs' if '/_delta_log/' in key else key.removeprefix(_ASSETS).partition('/')[0]}"
