"""Amazon EMR on one machine: its API over HTTP beside moto's services, and agents that run its steps.

What EMR does, this package does: requests, limits, states, messages, logs. It knows nothing of
Dagster or fruit and imports nothing of the step launcher that is tested against it.

Where it is not EMR: bootstrap actions are looked for, not run (the node's Python has this
environment's packages, without this checkout); logs are archived once, after a step; nothing scales;
the wording of a few refusals is ours where EMR's is not published. Moto neither checks
signatures nor enforces policies.
"""

from fruit_assets_tests.emr_simulator.faults import Faults
from fruit_assets_tests.emr_simulator.recording import Request
from fruit_assets_tests.emr_simulator.runners import StepCall
from fruit_assets_tests.emr_simulator.simulator import EmrSimulator

__all__ = ["EmrSimulator", "Faults", "Request", "StepCall"]
