"""An AWS account at moto: clients for those who act in it, and what it leaves behind.

Put here what is true of any service. EMR itself is elsewhere.
"""

import secrets
import threading
from typing import Any

import boto3
from botocore.config import Config

from fruit_assets_tests.emr_simulator.recording import CLUSTER_KEY, ORCHESTRATOR_KEY, OWN_KEY


class Account:
    """An account with a number of its own; moto keeps its resources apart by it.

    Args:
        region: of its clients.
    """

    def __init__(self, region: str) -> None:
        self.number = f"{secrets.randbelow(10**12):012d}"
        self.region = region
        self.endpoint_url = ""
        # By service and access key: making one reads the model of the service (0.1 s), and tests ask again and again.
        self._clients: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()

    def orchestrator(self, service: str) -> Any:
        """A client for the side that is tested."""
        return self._client(service, ORCHESTRATOR_KEY)

    def instance_profile(self, service: str) -> Any:
        """A client for what runs on clusters."""
        return self._client(service, CLUSTER_KEY, "simulated-instance-profile")

    def own(self, service: str) -> Any:
        """A client for the simulator and for the preparations of tests; no fault hits it."""
        return self._client(service, OWN_KEY)

    def has_instance_profile(self, name: str) -> bool:
        iam = self.own("iam")
        try:
            iam.get_instance_profile(InstanceProfileName=name.rpartition("/")[2])
        except iam.exceptions.NoSuchEntityException:
            return False
        return True

    def forget_buckets(self) -> None:
        """Give the names of the buckets back, and what their objects take."""
        from moto.s3.models import FakeKey, s3_backends

        buckets = s3_backends[self.number]["aws"].buckets
        for bucket in buckets.values():
            for key in bucket.keys.values():
                if isinstance(key, FakeKey):
                    key.dispose()
            s3_backends.bucket_accounts.pop(bucket.name, None)
        buckets.clear()

    def _client(self, service: str, access_key: str, token: str | None = None) -> Any:
        with self._making:
            if (service, access_key) not in self._clients:
                self._clients[service, access_key] = self._new_client(service, access_key, token)
            return self._clients[service, access_key]

    def _new_client(self, service: str, access_key: str, token: str | None) -> Any:
        session: Any = boto3.session.Session()
        return session.client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key="simulated",
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )
