"""`fruit-assets history` and `fruit-assets restore` on tables of a few rows."""

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from fruit_assets.cli import main
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage import read_current
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import stage_table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """image_features, published well by one run and badly by another."""
    table = Table(open_store(str(tmp_path / "image_features")))
    for run, path in (("good-run", "a"), ("bad-run", "b")):
        table.commit(stage_table(pa.table({"path": [path]}), VersionWriter(table, run)).with_facts(data_version=run))
    return table


def _ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("FRUIT_ASSETS_STORAGE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner().invoke(main, list(arguments))


def test_history_shows_versions_and_restore_brings_one_back(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _ask(tmp_path, monkeypatch, "history", "image_features")
    assert [line.split()[1] for line in shown.output.splitlines() if "│" in line] == ["1", "0"]
    assert "good-run" in shown.output
    restored = _ask(tmp_path, monkeypatch, "restore", "image_features", "--version", "0")
    assert restored.exit_code == 0, restored.output
    assert "image_features is as it was at version 0: 1 rows, now version 2." in restored.output
    assert "fruit-assets restore image_features --version 1" in restored.output
    assert read_current(table.store.uri)["path"].to_pylist() == ["a"]
    assert "restored version 0" in _ask(tmp_path, monkeypatch, "history", "image_features").output


def test_history_of_everything_names_what_has_not_been_published(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _ask(tmp_path, monkeypatch, "history", "--limit", "1")
    assert "pca_model has not been published yet." in shown.output
    assert "good-run" not in shown.output


def test_what_cannot_be_restored_is_refused_in_words(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = _ask(tmp_path, monkeypatch, "restore", "image_featurs", "--version", "0")
    assert "image_featurs is not an asset. There are sampled_images, " in unknown.output
    never = _ask(tmp_path, monkeypatch, "restore", "image_features", "--version", "9")
    assert never.exit_code == 1
    assert "Cannot open the table" in never.output
