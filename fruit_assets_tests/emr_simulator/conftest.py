"""The fixtures of this package, for its own tests."""

from fruit_assets_tests.emr_simulator.fixtures import emr_simulator, spark_emr_session, spark_emr_simulator

__all__ = ["emr_simulator", "spark_emr_session", "spark_emr_simulator"]
