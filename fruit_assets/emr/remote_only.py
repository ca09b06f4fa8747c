"""Resources that exist on the remote side only, such as a Spark session or a database of the cluster's network.

Put here the wrapper. What a resource does belongs to the project that uses the launcher.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

REMOTE_TAG = "dagster-emr/remote"  # a run tag that only the copy of the run on the remote side carries


class NotInOrchestrator:
    """Placeholder for a resource that is not started here; reading an attribute raises an error that names the fix."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise RuntimeError(
            f"{self._name}.{attribute} was read in the orchestrator, but remote_only() starts this resource on the "
            "remote side only. Add the step launcher to the asset's required resources, or use another resource."
        )


def remote_only(resource: Any) -> dg.ResourceDefinition:
    """The resource, started where a launched step runs and not in the orchestrator.

    Its `EnvVar`s are resolved there too, so the orchestrator needs none of their values. Run config
    cannot configure a wrapped resource.

    Args:
        resource: a `ConfigurableResource`, a `ResourceDefinition` without required resources, or any object.
    """
    name = type(resource).__name__

    def start(context: dg.InitResourceContext) -> Iterator[Any]:
        if context.run is None or REMOTE_TAG not in context.run.tags:
            yield NotInOrchestrator(name)
            return
        with dg.build_resources({"resource": resource}, instance=context.instance) as started:
            yield started.resource

    wrapped = dg.ResourceDefinition(start, description=f"{name}, on the remote side only")
    wrapped.remote_environment = frozenset(environment_names(resource))  # type: ignore[attr-defined]
    return wrapped


def environment_names(resource: Any) -> Iterator[str]:
    """Names of the environment variables that a resource reads through `EnvVar`."""
    if isinstance(resource, dg.ResourceDefinition):
        yield from getattr(resource, "remote_environment", ())
        field: Any = resource.config_field
        if field is not None and field.default_provided:
            yield from config_names(field.default_value)
    elif isinstance(resource, dg.ConfigurableResource | dg.ConfigurableIOManager):
        yield from environment_names(resource.get_resource_definition())


def config_names(config: Any) -> Iterator[str]:
    """Names of the variables in resource or run config, where an `EnvVar` is `{"env": NAME}`."""
    if isinstance(config, Mapping):
        if set(config) == {"env"} and isinstance(config["env"], str):
            yield config["env"]
        else:
            for value in config.values():
                yield from config_names(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from config_names(value)
