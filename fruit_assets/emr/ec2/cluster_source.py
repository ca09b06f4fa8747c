"""Where the launcher's cluster comes from: the given id, or the spec's cluster, found or created.

Put here the choice. How clusters are found and created is `clusters.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fruit_assets.emr.compute import Compute
from fruit_assets.emr.ec2.cluster_spec import deployed_spec
from fruit_assets.emr.ec2.clusters import Clusters
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.staging import StagingStore


@dataclass(frozen=True)
class ClusterSource:
    """The cluster with `cluster_id`; without an id, the cluster of `spec` filled in with `variables`."""

    staging: StagingStore
    region: str | None
    cluster_id: str | None
    spec: Path | None
    variables: Mapping[str, str]

    @property
    def is_replaceable(self) -> bool:
        return self.cluster_id is None

    def acquire(self) -> tuple[Compute, str]:
        clusters = Clusters(self.staging, self.region)
        if self.cluster_id:
            return clusters.get(self.cluster_id), "given by its id"
        if self.spec is None:
            raise PermanentError("The step launcher has neither a cluster_id nor a cluster_spec: give it one of them.")
        spec = deployed_spec(self.spec, self.staging, self.region, self.variables)
        compute, is_new = clusters.find_or_create(spec)
        return compute, "created for this run" if is_new else "found by its tag"

    def owned(self) -> Iterator[Compute]:
        if self.cluster_id:
            yield EmrOnEc2(self.cluster_id, self.region)
            return
        for facts in Clusters(self.staging, self.region).owned():
            yield EmrOnEc2(facts.cluster_id, self.region)
