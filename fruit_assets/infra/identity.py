"""The identity of the AWS credentials: account, region and principal.

Put here the call that returns it. Permissions of the principal are checked in `emr_checks`.
"""

from dataclasses import dataclass

from fruit_assets.emr.aws import call_with_retries, client
from fruit_assets.errors import PermanentError
from fruit_assets.settings import require_sound_aws_variables


@dataclass(frozen=True)
class Identity:
    """The caller: `arn` is that of a user or of an assumed role's session."""

    account: str
    arn: str
    region: str

    @property
    def role_or_user_arn(self) -> str:
        """The ARN that IAM policies are attached to: a session's role instead of the session."""
        service, _, rest = self.arn.partition(":assumed-role/")
        if not rest:
            return self.arn
        return f"{service.replace(':sts:', ':iam:')}:role/{rest.split('/')[0]}"


def who_am_i() -> Identity:
    """The account and principal of the credentials in use, from AWS.

    Raises:
        PermanentError: variables that cannot be used, no region, no such profile, no credentials, or credentials that
            AWS does not know.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    require_sound_aws_variables()
    try:
        region = boto3.session.Session().region_name
    except ProfileNotFound as error:
        raise PermanentError(f"{error}. Correct AWS_PROFILE, or add the profile: aws configure sso.") from error
    if not region:
        raise PermanentError("No AWS region is chosen: set AWS_DEFAULT_REGION, such as eu-west-1.")
    # A short patience: these commands are watched by a person.
    answer = call_with_retries(client("sts", region).get_caller_identity, patience=5)
    return Identity(account=answer["Account"], arn=answer["Arn"], region=region)
