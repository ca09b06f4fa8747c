"""Alternating rounds: all contenders run in turn, so that a slow minute of the machine affects each of them.

Put here the order of measurements and their medians. The measurements belong to the benchmarks.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

Result = TypeVar("Result")


def alternate(contenders: Mapping[str, Callable[[], Result]], repeats: int) -> dict[str, list[Result]]:
    """Run every contender once per round (A B A B ...) and print the duration of each call.

    Returns:
        Results by contender, one per round.
    """
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    for number in range(1, repeats + 1):
        for name, run in contenders.items():
            started = time.perf_counter()
            results[name].append(run())
            print(f"  round {number}/{repeats}  {name}: {time.perf_counter() - started:.1f} s", flush=True)
    return results


def medians(results: Mapping[str, Sequence[Result]], of: Callable[[Result], float]) -> dict[str, float]:
    """The median of one figure of each contender's results."""
    return {name: median(of(result) for result in all_of) for name, all_of in results.items()}
