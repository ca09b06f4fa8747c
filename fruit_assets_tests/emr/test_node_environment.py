"""What may be sent to a node in the clear, what only by reference, and what is refused."""

import pytest

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.node_environment import checked_environment, secret_references


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "dbPassword", "DBPASSWORD", "github_token",
        "API_KEY", "apikey", "DB_PWD", "CONN_STRING", "AZURE_CONNECTION_STRING", "GOOGLE_CREDENTIALS", "PRIVATE_KEY",
    ],
)  # fmt: skip
def test_variables_that_look_like_secrets_are_refused_by_name_only(name: str) -> None:
    with pytest.raises(PermanentError, match=name) as caught:
        checked_environment({name: "melon", "ORCHARD": "s3://b/images"})
    assert "melon" not in str(caught.value)


def test_a_password_within_an_address_is_refused_whatever_its_name() -> None:
    with pytest.raises(PermanentError, match="DATABASE_URL") as caught:
        checked_environment({"DATABASE_URL": "postgres://pear:melon@db/orchard"})
    assert "melon" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["TOKENIZERS_PARALLELISM", "MAX_TOKENS", "PWD", "KMS_KEY_ID", "PASSENGERS", "COMPASS", "SECRETARY", "AUTHOR"],
)
def test_ordinary_variables_pass(name: str) -> None:
    assert checked_environment({name: "x"}) == {name: "x"}


def test_a_variable_that_only_looks_secret_passes_when_listed_in_not_secret() -> None:
    assert checked_environment({"PAD_TOKEN": "<pad>"}, ["PAD_TOKEN"]) == {"PAD_TOKEN": "<pad>"}


@pytest.mark.parametrize(
    ("reference", "service", "name", "key"),
    [
        ("orchard/db", "secretsmanager", "orchard/db", ""),
        ("secretsmanager:orchard/db#password", "secretsmanager", "orchard/db", "password"),
        ("ssm:/orchard/db", "ssm", "/orchard/db", ""),
        ("arn:aws:ssm:eu-west-3:1:parameter/db", "ssm", "arn:aws:ssm:eu-west-3:1:parameter/db", ""),
        (
            "arn:aws:secretsmanager:eu-west-3:1:secret:db-1#user",
            "secretsmanager",
            "arn:aws:secretsmanager:eu-west-3:1:secret:db-1",
            "user",
        ),
    ],
)
def test_a_reference_names_service_secret_and_key(reference: str, service: str, name: str, key: str) -> None:
    assert secret_references({"DB_PASSWORD": reference}) == [
        {"variable": "DB_PASSWORD", "service": service, "name": name, "key": key}
    ]


def test_an_empty_reference_is_refused() -> None:
    with pytest.raises(PermanentError, match="DB_PASSWORD"):
        secret_references({"DB_PASSWORD": "ssm:"})
