"""EMR releases: labels and instance types from moto's data, applications of the releases in question."""

import functools
from typing import Any

OS_RELEASE = "2023.9.20260901.0"
APPLICATIONS = {
    "emr-spark-8.1.0": {"Spark": "4.1.1", "Livy": "0.8.0", "JupyterEnterpriseGateway": "2.6.0"},
    "emr-spark-8.0.0": {"Spark": "4.0.2", "Livy": "0.8.0", "JupyterEnterpriseGateway": "2.6.0"},
    "emr-7.13.0": {"Spark": "3.5.6", "Hadoop": "3.4.2", "JupyterHub": "1.5.0"},
}


@functools.lru_cache(maxsize=1)
def release_labels() -> list[str]:
    """Labels EMR offers in us-east-1, as moto recorded them."""
    return list(_backend().list_release_labels())


@functools.lru_cache(maxsize=8)
def instance_types(release_label: str) -> list[dict[str, Any]]:
    """The `SupportedInstanceType`s of a release; none of an unknown one."""
    if release_label not in release_labels():
        return []
    return list(_backend().list_supported_instance_types(release_label))


def _backend() -> Any:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.emr.models import emr_backends

    return emr_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
