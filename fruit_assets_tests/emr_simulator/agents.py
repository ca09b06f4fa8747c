"""The agents of all clusters of an account.

Put here finding the agent of a cluster and the execution of a step. What they do is in their modules.
"""

from fruit_assets_tests.emr_simulator.agent import ClusterAgent
from fruit_assets_tests.emr_simulator.clusters import Cluster
from fruit_assets_tests.emr_simulator.execution import StepExecution
from fruit_assets_tests.emr_simulator.world import World


class Agents:
    """The agents of all clusters."""

    def __init__(self) -> None:
        self.world: World
        self._agents: dict[str, ClusterAgent] = {}

    def start(self, cluster: Cluster) -> None:
        agent = ClusterAgent(cluster, self.world)
        self._agents[cluster.id] = agent
        agent.thread.start()

    def agent(self, cluster_id: str) -> ClusterAgent:
        return self._agents[cluster_id]

    def execution(self, step_id: str) -> StepExecution:
        """The execution of a step that has started."""
        for agent in self._agents.values():
            if step_id in agent.executions:
                return agent.executions[step_id]
        raise KeyError(f"step {step_id} has not started: wait until it is RUNNING")

    def stop(self) -> None:
        for agent in self._agents.values():
            agent.stop()
