"""The account that the tests of this folder deploy into."""

from fruit_assets_tests.infra.account import aws, moto_server

__all__ = ["aws", "moto_server"]
