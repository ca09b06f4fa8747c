"""What the agents of an account share: its register, faults, log archive and pace."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fruit_assets_tests.emr_simulator.clusters import Cluster, Clusters
from fruit_assets_tests.emr_simulator.faults import Faults
from fruit_assets_tests.emr_simulator.logs import LogArchive
from fruit_assets_tests.emr_simulator.node import Node
from fruit_assets_tests.emr_simulator.runners import Runner
from fruit_assets_tests.emr_simulator.yarn import MiniYarn


@dataclass(frozen=True)
class Pace:
    """How long things take, in seconds.

    Attributes:
        starting, bootstrapping, terminating: the states of a cluster.
        idle_scale: an idle second of ours counts as 1 / idle_scale seconds of an IdleTimeout.
    """

    starting: float = 0.05
    bootstrapping: float = 0.2
    terminating: float = 0.05
    idle_scale: float = 1.0


@dataclass
class World:
    """What all agents share.

    Attributes:
        build_node: lays out the primary node of a cluster.
        cluster_s3: client with the credentials of an instance profile.
        own_client: makes a client of the simulator itself.
    """

    clusters: Clusters
    faults: Faults
    archive: LogArchive
    pace: Pace
    runner: Runner
    build_node: Callable[[Cluster], Node]
    cluster_s3: Any
    own_client: Callable[[str], Any]
    check_roles: bool
    yarn: MiniYarn | None
