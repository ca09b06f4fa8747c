"""Find, create and terminate clusters: by id, by our tag, or from a spec, created once.

Put here the life cycle of a cluster. Its parameters are `cluster_spec.py`, its steps `compute.py`.
"""

import json
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, LostAnswerError, call_with_retries, interruptible_sleep, pages
from fruit_assets.emr.ec2.answers import ALIVE, ClusterFacts
from fruit_assets.emr.ec2.cluster_spec import ClusterSpec
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.errors import PermanentError, TransientError
from fruit_assets.emr.spec_file import OWNER_TAG, SPEC_TAG, is_owned, owner_of
from fruit_assets.emr.staging import StagingStore

# RunJobFlow has no client token, so two callers would make two clusters. One object in the staging bucket per
# spec names the caller that creates it; S3's conditional PUT lets one writer win. A claim older than this is abandoned.
CLAIM_SECONDS = 180.0


class Clusters:
    """The clusters of one account, region and staging bucket.

    Args:
        staging: where claims are stored.
        region: None leaves it to boto3.
    """

    def __init__(self, staging: StagingStore, region: str | None = None) -> None:
        self._staging = staging
        self._region = region
        self._emr = EmrOnEc2("", region)
        self._owner = owner_of(staging)

    def get(self, cluster_id: str) -> EmrOnEc2:
        """The cluster with this id.

        Raises:
            PermanentError: there is none, or it accepts no steps.
        """
        compute = EmrOnEc2(cluster_id, self._region)
        failure = compute.failure()
        if failure is not None:
            raise PermanentError(failure.message)
        return compute

    def find_or_create(self, spec: ClusterSpec) -> tuple[EmrOnEc2, bool]:
        """A cluster of this spec, and whether this call created it. It may still be starting.

        Raises:
            AwsRefusedError: EMR refused the cluster; the message quotes it.
            TransientError: another caller claimed to create it, and it did not appear.
        """
        name = f"clusters/{spec.digest}.json"
        deadline = time.monotonic() + 2 * CLAIM_SECONDS + 30
        while time.monotonic() < deadline:
            claim = self._staging.get(name)
            found = self._from_claim(claim.body if claim else b"") or self.find(spec)
            if found is not None:
                return EmrOnEc2(found.cluster_id, self._region), False
            if claim is None or _is_settled(claim.body) or claim.age > CLAIM_SECONDS:
                etag = self._staging.put_if_match(name, _claim(), etag=claim.etag if claim else None)
                if etag is not None:
                    return self._create(spec, name, etag), True
            interruptible_sleep(random.uniform(1.0, 3.0))  # noqa: S311
        raise TransientError(f"Another process is creating cluster {spec.name}, but it did not appear. Run again.")

    def find(self, spec: ClusterSpec) -> ClusterFacts | None:
        """A running cluster of this spec, or None; idle ones first, then by age."""
        usable = [facts for facts in self.owned(spec.name) if facts.tags.get(SPEC_TAG) == spec.digest]
        return min(usable, key=lambda facts: facts.state != "WAITING", default=None)

    def owned(self, name: str | None = None) -> Iterator[ClusterFacts]:
        """Running clusters that the launcher created, by their tags. With a name, only those of that name."""
        for row in self._listed():
            if name is not None and row.get("Name") != name:
                continue
            try:
                facts = EmrOnEc2(row["Id"], self._region).describe()
            except AwsRefusedError:
                continue  # a policy that knows our tag refuses other people's clusters: not ours
            if facts.is_alive and is_owned(facts.tags, self._owner):
                yield facts

    def terminate(self, cluster_id: str) -> None:
        """Terminate a cluster that the launcher created.

        Raises:
            PermanentError: the cluster does not carry our tags, or is protected.
        """
        facts = EmrOnEc2(cluster_id, self._region).describe()
        if not is_owned(facts.tags, self._owner):
            raise PermanentError(
                f"Cluster {cluster_id} was not created by this project, so it is not terminated from here."
            )
        call_with_retries(self._emr.emr.terminate_job_flows, JobFlowIds=[cluster_id])

    def _create(self, spec: ClusterSpec, name: str, etag: str) -> EmrOnEc2:
        """Create the cluster and settle this caller's claim: with the cluster's id, or empty after a refusal."""
        try:
            cluster_id = self._run_job_flow(spec)
        except (PermanentError, TransientError):
            self._staging.put_if_match(name, _settled(None), etag=etag)
            raise
        self._staging.put_if_match(name, _settled(cluster_id), etag=etag)
        return EmrOnEc2(cluster_id, self._region)

    def _run_job_flow(self, spec: ClusterSpec) -> str:
        request = spec.run_job_flow({OWNER_TAG: self._owner})
        while True:
            try:
                answer = call_with_retries(self._emr.emr.run_job_flow, repeatable=False, **request)
                return str(answer["JobFlowId"])
            except LostAnswerError:
                # The cluster may exist: the call is repeated only when the cluster does not appear.
                for _ in range(3):
                    interruptible_sleep(2.0)
                    found = self.find(spec)
                    if found is not None:
                        return found.cluster_id
            except AwsRefusedError as refusal:
                raise AwsRefusedError(f"{refusal} {_creation_advice(str(refusal))}", refusal.code) from refusal

    def _from_claim(self, claim: bytes) -> ClusterFacts | None:
        """The cluster named by a settled claim, if it runs: EMR's listing shows new clusters with a delay."""
        cluster_id = _read_claim(claim).get("cluster_id")
        if not isinstance(cluster_id, str):
            return None
        try:
            facts = EmrOnEc2(cluster_id, self._region).describe()
        except PermanentError:
            return None  # EMR no longer lists it, or it is of another account
        return facts if facts.is_alive and is_owned(facts.tags, self._owner) else None

    def _listed(self) -> Iterator[dict[str, Any]]:
        for page in pages(self._emr.emr.list_clusters, ClusterStates=list(ALIVE)):
            yield from page.get("Clusters", [])


def _claim() -> bytes:
    return json.dumps({"claimed_by": uuid.uuid4().hex}).encode()


def _settled(cluster_id: str | None) -> bytes:
    return json.dumps({"settled": uuid.uuid4().hex, "cluster_id": cluster_id}).encode()


def _is_settled(claim: bytes) -> bool:
    return "settled" in _read_claim(claim)


def _read_claim(claim: bytes) -> dict[str, Any]:
    try:
        content = json.loads(claim)
    except ValueError:
        return {"settled": "unreadable"} if claim else {}
    return content if isinstance(content, dict) else {"settled": "unreadable"}


def _creation_advice(message: str) -> str:
    words = message.lower()
    if any(word in words for word in ("role", "instance profile", "instanceprofile")):
        return "Create the roles first, or name existing ones in the cluster spec."
    if "subnet" in words or "vpc" in words:
        return "Name a subnet of this region in the cluster spec, with the tag that EMR's managed policy asks for."
    if "release" in words:
        return "This region does not offer the release label of the cluster spec."
    return "Correct the cluster spec."
