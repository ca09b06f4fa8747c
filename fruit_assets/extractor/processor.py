"""What this machine's processor can do, and what it did.

Put here the instruction sets that decide which arithmetic is fast, and the record a task leaves of the
arithmetic it really ran. Which precision is chosen because of it belongs in `drift_check.py`.
"""

import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# What decides how fast, and with which rounding, a convolution runs. Names as Linux gives them (x86, then ARM).
RELEVANT_CPU_FLAGS = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
# Any one of these makes a precision more than an emulation.
NATIVE_FLAGS: dict[str, frozenset[str]] = {
    "int8": frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"}),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
}


@dataclass(frozen=True)
class ExecutionProfile:
    """What one task really computed with; equal for tasks whose features may differ by nothing at all.

    Attributes:
        precision: what the convolutions ran at, `f32`, `bf16` or `int8`; a mixture names all of them.
        kernels: the instruction set of the convolutions, such as `avx512` or `avx512_amx`.
        flags: those of `RELEVANT_CPU_FLAGS` that the processor has.
    """

    precision: str
    kernels: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.precision} by {self.kernels or 'unknown'} kernels on {' '.join(self.flags) or 'unknown'}"


def parse_precision(arithmetic: str) -> str:
    """The precision in the text of an `ExecutionProfile`."""
    return arithmetic.partition(" by ")[0]


@lru_cache(maxsize=1)
def processor_flags() -> tuple[str, ...]:
    """Those of `RELEVANT_CPU_FLAGS` that this processor has; empty where the system does not list them."""
    cpuinfo = Path("/proc/cpuinfo")
    has: set[str] = set()
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, ARM
            has = set(value.split())
            break
    return tuple(flag for flag in RELEVANT_CPU_FLAGS if flag in has)


@lru_cache(maxsize=1)
def processor_name() -> str:
    """Model of the processor, where the system gives one (x86); else its instruction set, such as `aarch64`."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def runs_natively(precision: str, flags: tuple[str, ...]) -> bool:
    """Whether a processor with these flags has instructions for `precision`."""
    return precision == "f32" or bool(NATIVE_FLAGS.get(precision, frozenset()) & set(flags))
