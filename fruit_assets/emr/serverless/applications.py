"""Find, create and delete applications: by id, by our tag, or from a spec, created once.

Put here the life cycle of an application. Its parameters are `application_spec.py`, its job runs `compute.py`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, interruptible_sleep, pages
from fruit_assets.emr.errors import PermanentError, TransientError
from fruit_assets.emr.serverless.application_spec import ApplicationSpec
from fruit_assets.emr.serverless.compute import EmrServerless
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets.emr.spec_file import OWNER_TAG, SPEC_TAG, is_owned, owner_of
from fruit_assets.emr.staging import StagingStore

_ALIVE = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPED"]
_STOP_SECONDS = 120


class Applications:
    """The applications of one account, region and staging bucket.

    Args:
        staging: its hash marks applications as ours.
        region: None leaves it to boto3.
    """

    def __init__(self, staging: StagingStore, region: str | None = None) -> None:
        self._region = region
        self._emr_serverless = EmrServerless("", region).emr_serverless
        self._owner = owner_of(staging)

    def get(self, application_id: str, settings: JobSettings) -> EmrServerless:
        """The application with this id.

        Raises:
            PermanentError: there is none, or it takes no job runs.
        """
        compute = EmrServerless(application_id, self._region, settings)
        failure = compute.failure()
        if failure is not None:
            raise PermanentError(failure.message)
        return compute

    def find_or_create(self, spec: ApplicationSpec) -> tuple[EmrServerless, bool]:
        """An application of this spec, and whether this call created it. It starts with its first job run.

        Raises:
            AwsRefusedError: EMR Serverless refused the application; the message quotes it.
        """
        found = next((row for row in self.owned(spec.name) if row["tags"].get(SPEC_TAG) == spec.digest), None)
        if found is not None:
            return EmrServerless(found["applicationId"], self._region, spec.job_runs), False
        return EmrServerless(self._create(spec), self._region, spec.job_runs), True

    def owned(self, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Applications that carry our tags, as GetApplication describes them. With a name, only those of that name."""
        for page in pages(self._emr_serverless.list_applications, states=_ALIVE, maxResults=50):
            for row in page["applications"]:
                if name is None or row.get("name") == name:
                    yield from self._if_ours(row["id"])

    def delete(self, application_id: str) -> None:
        """Stop and delete an application that the launcher created.

        Raises:
            PermanentError: the application does not carry our tags.
            TransientError: it has job runs, or does not stop.
        """
        if not list(self._if_ours(application_id)):
            raise PermanentError(f"Application {application_id} was not created by this project: it is not deleted.")
        delete_application(EmrServerless(application_id, self._region))

    def _if_ours(self, application_id: str) -> Iterator[dict[str, Any]]:
        try:
            application = EmrServerless(application_id, self._region).describe()
        except (AwsRefusedError, PermanentError):
            return  # a policy that knows our tag refuses other applications: not ours
        if is_owned(application.get("tags", {}), self._owner):
            yield application

    def _create(self, spec: ApplicationSpec) -> str:
        tags = {**spec.parameters.get("tags", {}), SPEC_TAG: spec.digest, OWNER_TAG: self._owner}
        request = {**spec.parameters, "name": spec.name, "tags": tags}
        for generation in range(1, 100):
            # Two callers send the same token and get the same application. A deleted application has used its token up.
            token = f"{self._owner}-{spec.digest}-{generation}"
            try:
                answer = call_with_retries(self._emr_serverless.create_application, clientToken=token, **request)
            except AwsRefusedError as refusal:
                if refusal.code == "ConflictException":
                    continue
                raise AwsRefusedError(f"{refusal} {_advice(str(refusal))}", refusal.code) from refusal
            if EmrServerless(answer["applicationId"], self._region).describe()["state"] != "TERMINATED":
                return str(answer["applicationId"])
        raise PermanentError(f"Application {spec.name} was deleted 99 times: give the spec another name.")


def delete_application(compute: EmrServerless) -> None:
    """Stop and delete an application, also one that another client created.

    Raises:
        TransientError: it has job runs, or does not stop.
    """
    api, application_id = compute.emr_serverless, compute.application_id
    active = compute.active()
    if active:
        raise TransientError(f"Application {application_id} has {len(active)} job runs that have not ended.")
    if compute.describe()["state"] in ("STARTED", "STARTING"):
        call_with_retries(api.stop_application, applicationId=application_id)
    for _ in range(_STOP_SECONDS):
        if compute.describe()["state"] in ("CREATED", "STOPPED"):
            call_with_retries(api.delete_application, applicationId=application_id)
            return
        interruptible_sleep(1.0)
    raise TransientError(f"Application {application_id} does not stop: delete it later.")


def with_max_runtime(settings: JobSettings, seconds: float | None) -> JobSettings:
    """The settings with a timeout slightly above the launcher's, which ends the job run if the launcher is lost."""
    if seconds is None:
        return settings
    minutes = min(settings.timeout_minutes, int(seconds // 60) + 5)
    return dataclasses.replace(settings, timeout_minutes=minutes)


def _advice(refusal: str) -> str:
    words = refusal.lower()
    if "release" in words:
        return "This region does not offer the release label of the application spec."
    if "subnet" in words or "security group" in words:
        return "Name subnets and a security group of this region in the application spec."
    if "image" in words:
        return "Build the image from the same release's base image, and let EMR Serverless pull it."
    return "Correct the application spec."
