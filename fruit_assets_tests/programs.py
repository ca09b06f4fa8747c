"""Which tests start other programs: a JVM, a browser, Maven, a server, a process that exports a network.

Put here how they are recognised, so that `make test-fast` can leave them out. It runs without Java, so a test that is
not recognised fails there.
"""

import re
from functools import cache
from pathlib import Path

import pytest

_FIXTURES = frozenset(
    {"spark", "published", "graph", "page", "finished_run", "extractor", "emr", "emr_simulator", "spark_emr_simulator",
     "spark_emr_session", "private_cloud", "private_bucket", "maven_jars", "tiny", "cache", "before", "dagit"}
)  # fmt: skip
_WORDS = re.compile(
    r"subprocess|execute_in_process|materialize\(|tensorflow|keras|SparkContext|SparkSession|start_local_context"
    r"|LocalSpark|mock_aws|ThreadedMotoServer|moto|simulator|nncf|make_archive|run_cold|resources_for"
)


def starts_programs(item: pytest.Item) -> bool:
    """Whether a test, or the module it is in, starts another program."""
    return bool(_FIXTURES & set(getattr(item, "fixturenames", ()))) or _names_programs(Path(item.path))


@cache
def _names_programs(module: Path) -> bool:
    return bool(_WORDS.search(module.read_text()))
