"""`fruit-assets summary`: one run's versions, and what is newer than they are."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from fruit_assets.cli import main
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.table import Table
from fruit_assets_tests.conftest import PublishedGraph


@pytest.fixture
def storage(published: PublishedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(published.storage, tmp_path / "assets")
    monkeypatch.setenv("FRUIT_ASSETS_STORAGE", str(tmp_path / "assets"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "assets"


def _summary() -> str:
    result = CliRunner().invoke(main, ["summary"])
    assert result.exit_code == 0, result.output
    return result.output


def _publish_anew(storage: Path, name: str, **figures: int) -> None:
    """Half of the newest version's rows, by another run."""
    table = Table(open_store(str(storage / name)))
    newest = table.current()
    files = newest.files[: len(newest.files) // 2]
    staged = table.stage(files, newest.columns, "later-run", newest, {**newest.facts, "data_version": "later"})
    table.commit(staged.with_figures(**{**newest.figures, **figures}))


def test_what_a_later_run_published_in_part_is_named_and_its_figures_are_not_mixed_in(storage: Path, collection):
    before = _summary()
    count = collection.image_count
    assert f"{count:,} images as" in before
    assert f"({count:,} sampled, 0 rejected)" in before
    assert f"{count:,} images through the network" in before
    assert "Newer" not in before
    _publish_anew(storage, "sampled_images")
    _publish_anew(storage, "image_features", computed=999_999)
    lines = _summary().splitlines()
    [newer] = [line for line in lines if line.startswith("Newer")]
    assert lines[:-1] == [*before.splitlines()[:-1], newer]
    assert "image_features (version 1, run later-ru), sampled_images (version 1, run later-ru)" in newer
    assert "Materialise all" in newer


def test_an_input_that_was_made_anew_and_an_evaluation_that_is_missing_are_left_out(storage: Path):
    shutil.rmtree(storage / "fruit_recognition")
    shutil.rmtree(storage / "sampled_images")
    shown = _summary()
    assert "an unknown number sampled" in shown
    assert "of the variance explained" in shown
    assert "a baseline" not in shown
