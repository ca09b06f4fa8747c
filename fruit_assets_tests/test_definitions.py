"""Tests of the code location as a whole: what is declared, and that Dagster's server can load it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruit_assets.definitions import build_defs

_ROOT = Path(__file__).parent.parent


def _declared(defs: dg.Definitions) -> dict[str, Any]:
    graph = defs.resolve_asset_graph()
    checks: dict[str, list[str]] = {}
    for key in sorted(graph.asset_check_keys):
        spec = graph.get_check_spec(key)
        checks.setdefault(key.asset_key.to_user_string(), []).append(
            f"{key.name}{' (blocking)' if spec.blocking else ''}: {spec.description}"
        )
    return {
        spec.key.to_user_string(): {
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "group": spec.group_name,
            "kinds": sorted(spec.kinds),
            "owners": list(spec.owners),
            "code_version": spec.code_version,
            "tags": sorted(spec.tags),
            "metadata": sorted(spec.metadata),
            "columns": _columns(spec),
            "checks": checks.get(spec.key.to_user_string(), []),
        }
        for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)
    }


def _columns(spec: dg.AssetSpec) -> list[str]:
    schema = spec.metadata.get("dagster/column_schema")
    return [f"{column.name} {column.type}" for column in schema.columns] if schema else []


def test_every_asset_is_declared_as_it_was(make_settings, tmp_path, snapshot):
    defs = build_defs(make_settings(tmp_path))
    assert _declared(defs) == snapshot
    jobs = {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == {"fruit_features_job"}


@pytest.mark.parametrize("deployment", ["emr", "emr-serverless"])
def test_every_deployment_has_the_same_graph(make_settings, tmp_path, deployment):
    emr = make_settings(
        tmp_path,
        deployment=deployment,
        images="s3://fruit/images",
        storage="s3://fruit/assets",
        staging="s3://fruit/staging",
    )
    assert _declared(build_defs(emr)) == _declared(build_defs(make_settings(tmp_path)))


def test_every_asset_and_column_is_described_and_links_to_its_source(make_settings, tmp_path):
    for spec in build_defs(make_settings(tmp_path)).resolve_all_asset_specs():
        assert spec.description, spec.key
        schema = spec.metadata.get("dagster/column_schema")
        assert all(column.description for column in (schema.columns if schema else [])), spec.key
        if spec.key.to_user_string() != "raw_images":
            references = spec.metadata["dagster/code_references"].code_references
            assert all(Path(reference.file_path).is_file() for reference in references), spec.key


def test_the_main_job_selects_the_whole_graph(make_settings, tmp_path):
    job = build_defs(make_settings(tmp_path)).resolve_job_def("fruit_features_job")
    names = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert names >= {
        "sampled_images", "feature_extractor", "image_features", "rejected_images",
        "pca_model", "pca_components", "fruit_recognition",
    }  # fmt: skip


def test_a_resource_can_be_replaced_by_name(make_settings, tmp_path):
    from fruit_assets.assets.resources import WeightsSetting

    defs = build_defs(make_settings(tmp_path), resources={"weights": WeightsSetting(value="imagenet")})
    assert defs.resources["weights"].value == "imagenet"


# In a process of its own: gRPC's threads and the native libraries of the other tests do not mix well.
_LOAD = """
import json, sys
import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget

target = WorkspaceFileTarget([sys.argv[1]])
with dg.instance_for_test() as instance, WorkspaceProcessContext(instance, target) as process:
    request = process.create_request_context()
    [entry] = request.get_code_location_entries().values()
    if entry.load_error is not None:
        raise SystemExit(entry.load_error.to_string())
    [repository] = request.get_code_location(entry.origin.location_name).get_repositories().values()
    snapshot = repository.get_full_job("fruit_features_job").config_schema_snapshot
    fields = [field for snap in snapshot.all_config_snaps_by_key.values() for field in snap.fields or []]
    loaded = {
        "jobs": [job.name for job in repository.get_all_jobs()],
        "assets": len(repository.get_asset_node_snaps()),
        "checks": len(repository.get_asset_check_node_snaps()),
        "described": sorted({field.name for field in fields if field.description}),
    }
print(json.dumps(loaded))
"""


def test_dagsters_server_loads_the_code_location_and_gets_a_documented_config_schema(tmp_path):
    command = [sys.executable, "-c", _LOAD, str(_ROOT / "workspace.yaml")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "fruit_features_job" in loaded["jobs"]
    assert loaded["assets"] == 8
    assert loaded["checks"] >= 14
    knobs = {"fraction", "min_per_class", "seed", "input_size", "batch_size", "precision", "reuse", "n_components"}
    assert knobs <= set(loaded["described"])
