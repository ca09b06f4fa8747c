"""The account that the tests of this folder deploy into."""

from fruit_assets_tests.deploy.account import aws, moto_server

__all__ = ["aws", "moto_server"]
