"""The simulator as tests use it: an account of AWS with EMR in it, for the length of a `with` block.

Put here what a test may do and see. How EMR behaves belongs to the other modules.
"""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fruit_assets_tests.emr_simulator.account import Account
from fruit_assets_tests.emr_simulator.agents import Agents
from fruit_assets_tests.emr_simulator.cluster_operations import ClusterOperations
from fruit_assets_tests.emr_simulator.clusters import Cluster, Clusters
from fruit_assets_tests.emr_simulator.faults import Faults
from fruit_assets_tests.emr_simulator.logs import LogArchive
from fruit_assets_tests.emr_simulator.node import Node
from fruit_assets_tests.emr_simulator.quotas import Quotas
from fruit_assets_tests.emr_simulator.recording import ORCHESTRATOR_KEY, Recording, Request
from fruit_assets_tests.emr_simulator.runners import Runner
from fruit_assets_tests.emr_simulator.serialisation import EmrError
from fruit_assets_tests.emr_simulator.server import Endpoint, Operation, Server
from fruit_assets_tests.emr_simulator.serverless.execution import JobRunPace
from fruit_assets_tests.emr_simulator.serverless.service import ServerlessService
from fruit_assets_tests.emr_simulator.step_operations import StepOperations
from fruit_assets_tests.emr_simulator.world import Pace, World
from fruit_assets_tests.emr_simulator.yarn import MiniYarn

# Operations without a state of their own here: moto answers them.
_MOTOS = frozenset(
    {
        "CreateSecurityConfiguration", "DeleteSecurityConfiguration", "DescribeSecurityConfiguration",
        "ListSecurityConfigurations", "GetBlockPublicAccessConfiguration", "PutBlockPublicAccessConfiguration",
    }
)  # fmt: skip


class EmrSimulator:
    """Amazon EMR, S3, IAM and the rest of AWS behind one URL.

    Bucket names are global among the simulators of a process, as they are in AWS; everything else
    is each simulator's own. Moto's `mock_aws` would empty it: do not use both at the same time.

    Args:
        work_dir: where clusters have their nodes.
        runner: `spark` starts a real spark-submit, `python` the main script alone; or a function.
        starting_seconds, bootstrap_seconds, terminating_seconds: how long these states last.
        log_delay_seconds: from the end of a step to its logs in LogUri (five minutes with EMR).
        idle_scale: seconds of ours for one second of an IdleTimeout.
        job_run_pace: how long job runs of EMR Serverless take to start, and to stop.
        master: the local master Spark runs on.
        yarn: a running YARN that Spark runs on instead.
        check_roles: whether instance profile and service role must exist in IAM.
        enforce_quotas: whether EMR's default API rates are in force.
    """

    def __init__(
        self,
        work_dir: Path,
        runner: Runner = "python",
        *,
        starting_seconds: float = 0.05,
        bootstrap_seconds: float = 0.2,
        terminating_seconds: float = 0.05,
        log_delay_seconds: float = 0.5,
        idle_scale: float = 1.0,
        job_run_pace: JobRunPace = JobRunPace(),  # noqa: B008  frozen
        master: str = "local[1]",
        yarn: MiniYarn | None = None,
        region: str = "us-east-1",
        check_roles: bool = False,
        enforce_quotas: bool = False,
    ) -> None:
        self._account = Account(region)
        self._work_dir = work_dir
        self._runner = runner
        self._master = "yarn" if yarn is not None else master
        self._yarn = yarn
        self._check_roles = check_roles
        self._register = Clusters()
        self._agents = Agents()
        self._recording = Recording()
        self.faults = Faults(self._agents)
        self._pace = Pace(starting_seconds, bootstrap_seconds, terminating_seconds, idle_scale)
        self._log_delay = log_delay_seconds
        has_instance_profile = self._account.has_instance_profile if check_roles else lambda _: True
        clusters = ClusterOperations(self._register, self._agents, self.account, has_instance_profile)
        self._operations = (clusters, StepOperations(self._register, self._agents))
        self.serverless = ServerlessService(self.account, work_dir, master, idle_scale, job_run_pace)
        quotas = Quotas() if enforce_quotas else None
        endpoint = Endpoint(
            self.account, self._operation, self._serverless_operation, self._recording, self.faults,
            self._register.changed, quotas,
        )  # fmt: skip
        self._server = Server(endpoint)

    def __enter__(self) -> Self:
        self._server.start()
        self._account.endpoint_url = self._server.url
        self._archive = LogArchive(self._account.own("s3"), self._log_delay)
        self._agents.world = World(
            self._register,
            self.faults,
            self._archive,
            self._pace,
            self._runner,
            self._build_node,
            self._account.instance_profile("s3"),
            self._account.own,
            self._check_roles,
            self._yarn,
        )
        self.serverless.world, self.serverless.endpoint_url = self._agents.world, self._server.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._agents.stop()
        self.serverless.stop()
        self._archive.close()
        self._server.stop()
        self._account.forget_buckets()

    @property
    def account(self) -> str:
        """The account's number."""
        return self._account.number

    @property
    def region(self) -> str:
        return self._account.region

    @property
    def endpoint_url(self) -> str:
        return self._server.url

    @property
    def clusters(self) -> dict[str, Cluster]:
        """Clusters by id, the ended ones included."""
        return self._register.by_id

    @property
    def requests(self) -> list[Request]:
        """Every request so far, the simulator's own included."""
        return self._recording.requests

    def environment(self) -> dict[str, str]:
        """Variables for a process that orchestrates: endpoint, credentials, region."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": ORCHESTRATOR_KEY,
            "AWS_SECRET_ACCESS_KEY": "orchestrator-secret",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """A boto3 client with the orchestrator's credentials. It retries nothing, so that faults show."""
        return self._account.orchestrator(service)

    def create_bucket(self, name: str) -> str:
        """Create a bucket; its name."""
        self._account.own("s3").create_bucket(Bucket=name)
        return name

    def create_roles(self, service_role: str, instance_profile: str) -> None:
        """Create what `check_roles` looks for."""
        iam = self._account.own("iam")
        iam.create_role(RoleName=service_role, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=instance_profile)

    def calls(self, operation: str, caller: str | None = None) -> list[Request]:
        """Requests of one operation, except the simulator's own; of one caller when named."""
        return list(self._recording.calls(operation, caller))

    def set_step_state(self, step_id: str, state: str | None) -> None:
        """Report this state for a step, known to EMR or not, whatever it does; None ends that."""
        with self._register.changed:
            self._register.step(step_id).reported_state = state

    def wait_for(self, condition: Callable[[], object], timeout: float = 300) -> None:
        """Wait until a condition holds.

        Raises:
            TimeoutError: it did not in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the condition did not come true in {timeout} s")
            time.sleep(0.02)

    def wait_for_step(self, step_id: str, *states: str, timeout: float = 300) -> str:
        """Wait until a step has one of these states (any terminal one by default); the state."""
        wanted = states or ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")
        self.wait_for(lambda: self._register.step(step_id).state in wanted, timeout)
        return self._register.step(step_id).state

    def step_log(self, step_id: str, name: str) -> str:
        """What a step has written to `stdout`, `stderr` or `controller` so far, before any upload."""
        cluster = next(cluster for cluster in self.clusters.values() if step_id in cluster.steps)
        log = self._node(cluster).logs(step_id) / name
        return log.read_text(errors="replace") if log.exists() else ""

    def node_root(self, cluster_id: str) -> Path:
        """What stands in for `/` of a cluster's primary node."""
        return self._work_dir / cluster_id

    def _operation(self, name: str) -> Operation | None:
        if name in _MOTOS:
            return None
        methods = [getattr(operations, name, None) for operations in self._operations]
        found: Operation | None = next((method for method in methods if method is not None), None)
        if found is None:
            raise EmrError("NotImplementedException", f"The simulator does not know EMR's {name}.", 501)
        return found

    def _serverless_operation(self, name: str) -> Operation:
        found: Operation | None = getattr(self.serverless.operations, name, None)
        if found is None:
            raise EmrError("NotImplementedException", f"The simulator does not know EMR Serverless's {name}.", 501)
        return found

    def _node(self, cluster: Cluster) -> Node:
        defaults = {
            key: value
            for configuration in cluster.request.get("Configurations", [])
            if configuration.get("Classification") == "spark-defaults"
            for key, value in configuration.get("Properties", {}).items()
        }
        root = self.node_root(cluster.id)
        yarn_conf = self._yarn.conf if self._yarn is not None else None
        return Node(root, self.endpoint_url, cluster.region, self._master, yarn_conf, defaults)

    def _build_node(self, cluster: Cluster) -> Node:
        node = self._node(cluster)
        node.build(with_spark=self._runner == "spark")
        return node
