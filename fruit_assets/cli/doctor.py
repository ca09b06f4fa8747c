"""`fruit-assets doctor`: what is ready, what is not, and what to do about it.

Put here which checks are made when, and how they are shown. The checks are in `fruit_assets/infra/`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fruit_assets.cli.console import open_console
from fruit_assets.errors import SettingsError
from fruit_assets.infra.bootstrap_files import deployment_uri, read_facts
from fruit_assets.infra.checks import (
    bucket_checks,
    disk_checks,
    emr_checks,
    machine_checks,
    serverless_checks,
    settings_checks,
)
from fruit_assets.infra.checks.findings import Finding, checked, ok, problem
from fruit_assets.infra.cluster_size import release_label, vcpus_of_spec
from fruit_assets.infra.identity import Identity, who_am_i
from fruit_assets.object_store.s3_location import parse_s3_uri
from fruit_assets.settings import Settings, load_settings, process_environment

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]look[/]", "problem": "[red]stop[/]"}


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def doctor(form: str) -> None:
    """Check this machine and the AWS account, line by line.

    Each line is ok, something to look at, or something that stops a run, with what to do. AWS is asked only
    when the settings use it. The exit code is 1 when a run would be stopped.
    """
    console = open_console(stderr=form == "json")
    sections: dict[str, list[Finding]] = {}
    with console.status("Looking"):
        settings = _settings(sections)
        sections["This machine"] = _machine(settings)
        if settings is not None:
            sections["Settings"] = _places(settings)
            if settings.uses_s3 or settings.runs_on_emr:
                sections |= _account(settings)
    if form == "json":
        rows = [{"section": name, **asdict(finding)} for name, findings in sections.items() for finding in findings]
        click.echo(json.dumps(rows, indent=1))
    else:
        _show(console, sections)
    if any(finding.status == "problem" for findings in sections.values() for finding in findings):
        raise SystemExit(1)


def _settings(sections: dict[str, list[Finding]]) -> Settings | None:
    try:
        return load_settings()
    except SettingsError as error:
        sections["Settings"] = [
            problem("Settings", text, "Correct .env or the environment.") for text in error.problems
        ]
        return None


def _machine(settings: Settings | None) -> list[Finding]:
    local = settings is not None and not settings.storage.startswith("s3://")
    place = Path(settings.storage) if settings and local else Path.home()
    return _all(
        {
            "Python": machine_checks.check_python,
            "Java": partial(machine_checks.check_java, settings.java_home if settings else None),
            "Spark": partial(machine_checks.check_spark, process_environment()),
            "Packages": machine_checks.check_packages,
            "Memory": machine_checks.check_memory,
            "Disk": partial(machine_checks.check_disk, place),
        }
    )


def _places(settings: Settings) -> list[Finding]:
    return [
        ok("Deployment", settings.deployment),
        *_all(
            {
                "Images": partial(settings_checks.check_images, settings),
                "Storage": partial(settings_checks.check_storage, settings),
                "Weights": partial(settings_checks.check_weights, settings),
            }
        ),
    ]


def _account(settings: Settings) -> dict[str, list[Finding]]:
    callers: list[Identity] = []

    def credentials() -> Iterable[Finding]:
        callers.append(who_am_i())
        yield ok("Credentials", f"{callers[0].arn}, region {callers[0].region}")

    found = {"AWS": checked("Credentials", credentials)}
    if not callers:
        return found
    caller = callers[0]
    for bucket, prefix in _buckets(settings).items():
        check = partial(
            bucket_checks.check_bucket, bucket, caller.region, write_to=prefix, encryption=settings.encryption
        )
        found["AWS"] += checked("Bucket", check)
    if settings.staging and settings.deployment == "emr":
        found["EMR"] = _emr(settings, settings.staging, caller)
    elif settings.staging and settings.deployment == "emr-serverless":
        found["EMR Serverless"] = _serverless(settings, settings.staging, caller)
    return found


def _deployed(staging: str, region: str) -> tuple[dict[str, str], list[Finding]]:
    """The facts and files that deploy published, and whether they exist."""
    facts: dict[str, str] = {}

    def deployment() -> Iterable[Finding]:
        facts.update(read_facts(staging, region) or {})
        if facts:
            yield ok("Deployment", f"{facts['project']}, roles and network of {deployment_uri(staging)}")
        else:
            yield problem("Deployment", f"{deployment_uri(staging)} is missing", "Run `fruit-assets deploy`.")

    return facts, checked("Deployment", deployment)


def _serverless(settings: Settings, staging: str, caller: Identity) -> list[Finding]:
    region = caller.region
    facts, findings = _deployed(staging, region)
    checks: dict[str, Callable[[], Iterable[Finding]]] = {"Release": serverless_checks.check_release}
    if facts:
        checks["Job role"] = partial(serverless_checks.check_job_role, facts, caller)
        checks["Environment"] = partial(serverless_checks.check_environment, facts, region)
    checks["vCPU"] = partial(serverless_checks.check_vcpu_quota, region)
    if settings.emr_application:
        checks["Application"] = partial(serverless_checks.check_application, settings.emr_application, region)
    return findings + _all(checks)


def _emr(settings: Settings, staging: str, caller: Identity) -> list[Finding]:
    region = caller.region
    facts, findings = _deployed(staging, region)
    findings += _all({"Release": partial(emr_checks.check_release, release_label(), region)})
    if facts:
        findings += _all(
            {
                "Roles": partial(emr_checks.check_roles, facts, region),
                "PassRole": partial(emr_checks.check_pass_role, facts, caller),
                "Network": partial(emr_checks.check_network, facts, region),
                "Bootstrap files": partial(emr_checks.check_bootstrap, staging, facts, region),
            }
        )
    findings += checked("Quotas", lambda: emr_checks.check_quotas(vcpus_of_spec(), region))
    if settings.emr_cluster:
        findings += _all({"Cluster": partial(emr_checks.check_cluster, settings.emr_cluster, region)})
    return findings + checked("Node disks", _disks(settings, staging, region, bool(facts)))


def _disks(settings: Settings, staging: str, region: str, is_deployed: bool) -> Callable[[], Iterable[Finding]]:
    if settings.emr_cluster:
        return partial(disk_checks.check_disks_of_cluster, settings.emr_cluster, region)
    if is_deployed:
        return partial(disk_checks.check_disks_of_new_clusters, staging, region)
    return lambda: ()  # the missing deployment is reported already


def _all(checks: Mapping[str, Callable[[], Iterable[Finding]]]) -> list[Finding]:
    return [finding for subject, check in checks.items() for finding in checked(subject, check)]


def _buckets(settings: Settings) -> dict[str, str | None]:
    """Bucket -> prefix to try a write below; None for a bucket that is only read."""
    buckets: dict[str, str | None] = {}
    for uri, written in ((settings.storage, ""), (settings.staging, "/runs"), (settings.images, None)):
        if uri and uri.startswith("s3://"):
            bucket, prefix = parse_s3_uri(uri)
            buckets.setdefault(bucket, None if written is None else prefix + written)
    return buckets


def _show(console: Console, sections: Mapping[str, list[Finding]]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, findings in sections.items():
        table.add_row("", f"[bold]{name}[/]", "")
        for finding in findings:
            table.add_row(_MARKS[finding.status], Text(f"  {finding.subject}"), Text(finding.detail))
            if finding.remedy:
                table.add_row("", "", Text(f"-> {finding.remedy}", style="bold"))
    console.print(table)
    counted = [finding.status for findings in sections.values() for finding in findings]
    console.print(f"\n{counted.count('problem')} to correct, {counted.count('warning')} to look at")
