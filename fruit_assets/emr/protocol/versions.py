"""Version skew: the orchestrator's versions, compared with the cluster's.

Put here what is compared, and the messages that name both versions. Python itself is checked earlier, in
`../remote/bootstrap_main.py`: an older Python could not parse this file.
"""

import importlib.util
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version


def orchestrator_versions(package: str) -> dict[str, str]:
    """Python, Spark, dagster and the first-party package, as they are in this process."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "spark": installed("pyspark"),
        "dagster": installed("dagster"),
        package: installed(package),
    }


def installed(distribution: str) -> str:
    """The version of an installed distribution; `absent` when there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def differences(expected: Mapping[str, str], modules: Sequence[str]) -> list[str]:
    """One sentence for each difference from the orchestrator; runs on the cluster.

    Args:
        expected: the orchestrator's versions.
        modules: import names the step needs.
    """
    missing = [name for name in modules if importlib.util.find_spec(name.split(".")[0]) is None]
    problems = [f"the cluster lacks the package {name!r}: add it to the bootstrap requirements" for name in missing]
    own = {"python": ".".join(platform.python_version_tuple()[:2]), "spark": _spark_version()}
    for name, wanted in expected.items():
        found = own.get(name) or installed(name)
        # First-party code is shipped: a cluster without an installed copy is right, an old copy is wrong.
        if "absent" in (found, wanted) and name != "dagster":
            continue
        is_same = _minor(found) == _minor(wanted) if name in ("python", "spark") else found == wanted
        if not is_same:
            problems.append(f"{name} is {found} on the cluster and {wanted} where the run was launched")
    return problems


def _spark_version() -> str:
    """Spark's version, from its own module: EMR installs Spark without pip."""
    if importlib.util.find_spec("pyspark") is None:
        return "absent"
    from pyspark.version import __version__

    return str(__version__)


def _minor(text: str) -> str:
    """`4.1` of `4.1.1`, `4.1.1-amzn-0` and `4.1.1+amzn.0`."""
    found = re.match(r"\d+\.\d+", text)
    return found.group() if found else text
