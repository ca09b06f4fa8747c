"""Faults a test orders in advance: what AWS, a cluster or a network does on a bad day.

Put here the orders and their counting. The server and the agents carry them out. Each order
names the step or cluster that it hits.
"""

import signal as signals
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fruit_assets_tests.emr_simulator.provisioning import ClusterFailure
from fruit_assets_tests.emr_simulator.serialisation import EmrError, service_model
from fruit_assets_tests.emr_simulator.serverless import wire

if TYPE_CHECKING:
    from fruit_assets_tests.emr_simulator.agents import Agents

OrderKind = Literal[
    "answer", "drop", "token", "truncate", "break", "hang", "ignore_interrupt", "bootstrap", "capacity", "role"
]  # fmt: skip


@dataclass
class _Order:
    kind: OrderKind
    matches: Callable[[str], bool]
    times: int
    error: EmrError | None = None
    text: str = ""
    caller: str | None = None


@dataclass
class Faults:
    """Orders of the test that runs; each is used up after its number of times."""

    agents: "Agents"
    _orders: list[_Order] = field(default_factory=list)
    _delays: list[tuple[str, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def throttle(self, operation: str, times: int = 1, caller: str | None = None) -> None:
        """Answer an operation of EMR or S3 as when it is called too often."""
        code, message = ("ThrottlingException", "Rate exceeded")
        if operation not in (*service_model().operation_names, *wire.service_model().operation_names):
            code, message = ("SlowDown", "Please reduce your request rate.")
        self.refuse(operation, code, message, times, caller)

    def refuse(self, operation: str, code: str, message: str, times: int = 1, caller: str | None = None) -> None:
        """Answer an operation of EMR or S3 with an error; it is not carried out.

        With `caller` only those of the `orchestrator` or of the `cluster` count.
        """
        status = {"AccessDenied": 403, "SlowDown": 503, "InternalError": 500}.get(code, 400)
        error = EmrError(code, message, status)
        self._add(_Order("answer", lambda name: name == operation, times, error, caller=caller))

    def drop_connection(self, operation: str, times: int = 1, after: bool = False, caller: str | None = None) -> None:
        """Close the connection instead of answering an operation of EMR or S3.

        With `after` the operation is carried out first: the caller cannot know.
        """
        text = "after" if after else ""
        self._add(_Order("drop", lambda name: name == operation, times, text=text, caller=caller))

    def expire_token(self, times: int = 1) -> None:
        """Refuse the orchestrator's next requests, to any service, because its token has expired."""
        self._add(_Order("token", lambda _: True, times))

    def hang_next_step(self) -> None:
        """The next step to start runs, but never does or says anything."""
        self._add(_Order("hang", lambda _: True, 1))

    def ignore_interrupt(self, times: int = 1) -> None:
        """The next SEND_INTERRUPT is accepted, but does not reach the step's process."""
        self._add(_Order("ignore_interrupt", lambda _: True, times))

    def fail_bootstrap(self, stderr_text: str = "") -> None:
        """The bootstrap action of the next cluster exits 1 on the primary node, having written this."""
        self._add(_Order("bootstrap", lambda _: True, 1, text=stderr_text))

    def exceed_capacity(self, of: Literal["application", "account"] = "application", times: int = 1) -> None:
        """The next job runs find no room below the application's maximum capacity, or the account's vCPU quota."""
        self._add(_Order("capacity", lambda _: True, times, text=of))

    def refuse_role(self) -> None:
        """The next job run's execution role cannot be assumed."""
        self._add(_Order("role", lambda _: True, 1))

    def kill_step(self, step_id: str, signal: int = signals.SIGKILL, tree: bool = True) -> None:
        """Send a signal to the process of a running step (a crash, or the kernel short of memory).

        Without `tree` its descendants are spared: in client mode that hits the JVM, not the Python driver.
        """
        self.agents.execution(step_id).kill(signal, tree=tree)

    def lose_cluster(self, cluster_id: str, code: str = "INSTANCE_FAILURE", message: str = "") -> None:
        """The cluster dies at once: running steps are killed and INTERRUPTED."""
        message = message or "The master node was terminated by Amazon EC2."
        self.agents.agent(cluster_id).lose(ClusterFailure(code, message, code))

    def end_idle_cluster(self, cluster_id: str) -> None:
        """The cluster's auto-termination policy strikes now."""
        self.agents.agent(cluster_id).end_idle()

    def delay_objects(self, key_substring: str, seconds: float) -> None:
        """Hold back every write of such an S3 object, from any side, for this long. Zero ends it."""
        with self._lock:
            self._delays = [delay for delay in self._delays if delay[0] != key_substring]
            self._delays += [(key_substring, seconds)] if seconds else []

    def truncate_object(self, key_substring: str, times: int = 1) -> None:
        """The next reads of such an S3 object see only its first half."""
        self._add(_Order("truncate", lambda key: key_substring in key, times))

    def break_object(self, key_substring: str, times: int = 1) -> None:
        """The connection breaks in the middle of the next reads of such an S3 object."""
        self._add(_Order("break", lambda key: key_substring in key, times))

    def delay_of(self, key: str) -> float:
        with self._lock:
            return sum(seconds for substring, seconds in self._delays if substring in key)

    def take(self, kind: OrderKind, name: str = "", caller: str | None = None) -> _Order | None:
        """Use up one order of this kind that matches, if there is one."""
        with self._lock:
            for order in self._orders:
                if order.kind == kind and order.matches(name) and order.caller in (None, caller):
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                    return order
        return None

    def _add(self, order: _Order) -> None:
        with self._lock:
            self._orders.append(order)
