"""EMR's operations on clusters, each a method named like the operation.

Put here limits and refusals in EMR's own words. What happens afterwards is the agents' business.
"""

from collections.abc import Callable
from typing import Any

from fruit_assets_tests.emr_simulator.agents import Agents
from fruit_assets_tests.emr_simulator.cluster_checks import refuse_concurrency, refuse_idle_timeout, refuse_request
from fruit_assets_tests.emr_simulator.clusters import Cluster, Clusters
from fruit_assets_tests.emr_simulator.instances import Collection
from fruit_assets_tests.emr_simulator.paging import page
from fruit_assets_tests.emr_simulator.releases import APPLICATIONS, OS_RELEASE, instance_types, release_labels
from fruit_assets_tests.emr_simulator.serialisation import invalid_request, validation_error
from fruit_assets_tests.emr_simulator.steps import Step, new_id

_UNMODIFIABLE = "A job flow that is shutting down, terminated, or finished may not be modified."
_PROTECTED = "Could not shut down one or more job flows since they are termination protected."


class ClusterOperations:
    """Answers for one account.

    Args:
        has_instance_profile: whether IAM knows an instance profile of that name.
    """

    def __init__(
        self, clusters: Clusters, agents: Agents, account: str, has_instance_profile: Callable[[str], bool]
    ) -> None:
        self._clusters = clusters
        self._agents = agents
        self._account = account
        self._has_instance_profile = has_instance_profile
        self._app_uis: dict[str, str] = {}

    def RunJobFlow(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._refuse_cluster(params)
        cluster = Cluster(params, region, self._account)
        for config in params.get("Steps", []):
            step = Step(config, log_uri=cluster.log_uri)
            cluster.steps[step.id] = step
        self._clusters.by_id[cluster.id] = cluster
        self._agents.start(cluster)
        return {"JobFlowId": cluster.id, "ClusterArn": cluster.arn}

    def DescribeCluster(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Cluster": self._find(region, params).description()}

    def ListClusters(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        found = [
            cluster.summary()
            for cluster in reversed(self._clusters.by_id.values())
            if cluster.region == region
            and cluster.state in (params.get("ClusterStates") or [cluster.state])
            and params.get("CreatedAfter", cluster.created_at) <= cluster.created_at
            and cluster.created_at <= params.get("CreatedBefore", cluster.created_at)
        ]
        return page("Clusters", found, params)

    def ListInstances(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._find(region, params)
        state = _instance_state(cluster)
        wanted: dict[str, Callable[[Collection, Any], bool]] = {
            "InstanceFleetId": lambda group, value: group.id == value,
            "InstanceGroupId": lambda group, value: group.id == value,
            "InstanceFleetType": lambda group, value: group.role == value,
            "InstanceGroupTypes": lambda group, value: group.role in value,
            "InstanceStates": lambda group, value: state in value,
        }
        filters = [(wanted[key], value) for key, value in params.items() if key in wanted]
        instances = [
            instance | {"Status": {"State": state, "Timeline": {"CreationDateTime": cluster.created_at}}}
            for group in cluster.collections
            if all(keeps(group, value) for keeps, value in filters)
            for instance in group.instances
        ]
        return page("Instances", instances, params)

    def ListInstanceFleets(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._find(region, params)
        if any(group.kind == "group" for group in cluster.collections):
            raise invalid_request("Instance fleets and instance groups are mutually exclusive.")
        return page(
            "InstanceFleets", [fleet.description(_instance_state(cluster)) for fleet in cluster.collections], params
        )

    def ListInstanceGroups(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._find(region, params)
        if any(group.kind == "fleet" for group in cluster.collections):
            raise invalid_request("Instance fleets and instance groups are mutually exclusive.")
        return page(
            "InstanceGroups", [group.description(_instance_state(cluster)) for group in cluster.collections], params
        )

    def ListBootstrapActions(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        actions = [
            {
                "Name": action["Name"],
                "ScriptPath": action["ScriptBootstrapAction"]["Path"],
                "Args": action["ScriptBootstrapAction"].get("Args", []),
            }
            for action in self._find(region, params).request.get("BootstrapActions", [])
        ]
        return page("BootstrapActions", actions, params)

    def TerminateJobFlows(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if len(params["JobFlowIds"]) > 10:
            raise validation_error("At most 10 job flows can be terminated at once.")
        unknown = validation_error("Specified job flow ID not valid.")
        clusters = [self._clusters.find(cluster_id, region, unknown) for cluster_id in params["JobFlowIds"]]
        for cluster in clusters:
            if not cluster.protected:
                self._agents.agent(cluster.id).terminate("USER_REQUEST", "Terminated by user request")
        if any(cluster.protected for cluster in clusters):
            raise validation_error(_PROTECTED)
        return {}

    def AddTags(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        tags = self._tagged(region, params).tags
        tags.update({tag["Key"]: tag.get("Value", "") for tag in params["Tags"]})
        return {}

    def RemoveTags(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        tags = self._tagged(region, params).tags
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def PutAutoTerminationPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._modifiable(region, params["ClusterId"])
        policy = params.get("AutoTerminationPolicy", {})
        refuse_idle_timeout(policy)
        cluster.auto_termination = policy
        self._clusters.changed.notify_all()  # an idle cluster may have to end
        return {}

    def GetAutoTerminationPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        policy = self._find(region, params).auto_termination
        return {} if policy is None else {"AutoTerminationPolicy": policy}

    def RemoveAutoTerminationPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._modifiable(region, params["ClusterId"]).auto_termination = None
        return {}

    def PutManagedScalingPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._modifiable(region, params["ClusterId"]).managed_scaling = params["ManagedScalingPolicy"]
        return {}

    def GetManagedScalingPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        policy = self._find(region, params).managed_scaling
        return {} if policy is None else {"ManagedScalingPolicy": policy}

    def RemoveManagedScalingPolicy(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self._modifiable(region, params["ClusterId"]).managed_scaling = None
        return {}

    def SetTerminationProtection(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for cluster_id in params["JobFlowIds"]:
            self._modifiable(region, cluster_id).protected = params["TerminationProtected"]
        return {}

    def SetKeepJobFlowAliveWhenNoSteps(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for cluster_id in params["JobFlowIds"]:
            self._modifiable(region, cluster_id).keep_alive = params["KeepJobFlowAliveWhenNoSteps"]
        return {}

    def ModifyCluster(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._modifiable(region, params["ClusterId"])
        level = params.get("StepConcurrencyLevel", cluster.concurrency)
        refuse_concurrency(level)
        cluster.concurrency = level
        return {"StepConcurrencyLevel": level}

    def DescribeReleaseLabel(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        label = params.get("ReleaseLabel", "")
        if label not in release_labels():
            raise validation_error(f"The supplied release label is invalid: {label}.")
        applications = [{"Name": name, "Version": version} for name, version in APPLICATIONS.get(label, {}).items()]
        return {"ReleaseLabel": label, "Applications": applications, "AvailableOSReleases": [{"Label": OS_RELEASE}]}

    def ListReleaseLabels(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        prefix = params.get("Filters", {}).get("Prefix", "")
        return {"ReleaseLabels": [label for label in release_labels() if label.startswith(prefix)]}

    def ListSupportedInstanceTypes(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return page("SupportedInstanceTypes", instance_types(params["ReleaseLabel"]), params)

    def CreatePersistentAppUI(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        arn = params["TargetResourceArn"]
        if not any(cluster.arn == arn for cluster in self._clusters.by_id.values()):
            raise invalid_request(f"The target resource {arn} does not exist.")
        ui = new_id("p")
        self._app_uis[ui] = arn
        return {"PersistentAppUIId": ui, "RuntimeRoleEnabledCluster": False}

    def GetPersistentAppUIPresignedURL(self, region: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        ui = params["PersistentAppUIId"]
        if ui not in self._app_uis:
            raise invalid_request(f"Persistent application UI '{ui}' is not valid.")
        kind = params.get("PersistentAppUIType", "SHS").lower()
        host = f"{ui.lower()}.emrappui-prod.{region}.amazonaws.com"
        path = f"/{kind}/history/{params['ApplicationId']}/jobs/" if "ApplicationId" in params else f"/{kind}/"
        return {"PresignedURLReady": True, "PresignedURL": f"https://{host}{path}?authToken=simulated"}

    def _find(self, region: str, params: dict[str, Any]) -> Cluster:
        return self._clusters.find(params["ClusterId"], region)

    def _tagged(self, region: str, params: dict[str, Any]) -> Cluster:
        resource = params["ResourceId"]
        return self._clusters.find(resource, region, invalid_request(f"The resource {resource} does not exist."))

    def _modifiable(self, region: str, cluster_id: str) -> Cluster:
        cluster = self._clusters.find(cluster_id, region, invalid_request(f"Cluster id '{cluster_id}' does not exist."))
        if not cluster.accepts_steps:
            raise validation_error(_UNMODIFIABLE)
        return cluster

    def _refuse_cluster(self, params: dict[str, Any]) -> None:
        refuse_request(params)
        profile = params.get("JobFlowRole")
        if not profile:
            raise validation_error("InstanceProfile is required for creating cluster.")
        if not self._has_instance_profile(profile):
            raise validation_error(f"Invalid InstanceProfile: {profile}.")


def _instance_state(cluster: Cluster) -> str:
    states = {"STARTING": "PROVISIONING", "BOOTSTRAPPING": "BOOTSTRAPPING", "RUNNING": "RUNNING", "WAITING": "RUNNING"}
    return states.get(cluster.state, "TERMINATED")
