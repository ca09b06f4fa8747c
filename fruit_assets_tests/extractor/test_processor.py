"""Tests of what is known of the processor: its flags decide what is native."""

import pytest

from fruit_assets.extractor.processor import (
    RELEVANT_CPU_FLAGS,
    ExecutionProfile,
    parse_precision,
    processor_flags,
    runs_natively,
)


@pytest.mark.parametrize(
    ("precision", "flags", "native"),
    [
        ("f32", "", True),
        ("int8", "avx2 avx512f", False),
        ("int8", "avx2 avx_vnni", True),
        ("int8", "avx512f avx512_vnni", True),
        ("int8", "asimd asimddp", True),
        ("bf16", "avx512f avx512_vnni", False),
        ("bf16", "avx512f avx512_bf16", True),
        ("bf16", "amx_bf16", True),
        ("bf16", "asimd bf16", True),
    ],
)
def test_a_precision_is_native_where_the_processor_has_instructions_for_it(precision, flags, native):
    assert runs_natively(precision, tuple(flags.split())) is native


def test_the_flags_of_this_processor_are_those_that_linux_lists():
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        [reported] = {line.partition(":")[2] for line in file if line.startswith(("flags", "Features"))}
    assert set(processor_flags()) == set(reported.split()) & set(RELEVANT_CPU_FLAGS)


def test_arithmetic_is_described_in_words_that_begin_with_the_precision():
    arithmetic = ExecutionProfile("int8", "avx512", ("avx512f", "avx512_vnni"))
    assert str(arithmetic) == "int8 by avx512 kernels on avx512f avx512_vnni"
    assert parse_precision(str(arithmetic)) == "int8"
