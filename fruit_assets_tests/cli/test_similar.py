"""`fruit-assets similar` on the graph that the whole collection was published with."""

import io
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from fruit_assets.cli import main


@pytest.fixture
def ask(published, tmp_path, monkeypatch):
    """Run the command beside the published graph; the contact sheet lands in `tmp_path`."""

    def run(*arguments: str, storage: Path = published.storage) -> Result:
        monkeypatch.setenv("FRUIT_ASSETS_STORAGE", str(storage))
        monkeypatch.setenv("FRUIT_ASSETS_IMAGES", published.settings.images)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        return CliRunner().invoke(main, ["similar", *arguments])

    return run


def _some_image(root: Path) -> Path:
    return sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".png"))[0]


def test_an_image_of_the_collection_finds_itself_first_and_its_own_kind_next(ask, collection, tmp_path):
    image = _some_image(collection.images)
    result = ask(str(image), "--top", "5")
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if "│" in line]
    assert len(rows) == 5
    assert "1.000" in rows[0]
    assert image.relative_to(collection.images).as_posix() in rows[0]
    assert f"Compared with {collection.image_count:,} images" in result.output
    if collection.real:
        assert image.parent.name in rows[1]
    assert Image.open(io.BytesIO((tmp_path / "similar.png").read_bytes())).size[0] > 100


def test_the_contact_sheet_can_be_named(ask, collection, tmp_path):
    assert ask(str(_some_image(collection.images)), "--sheet", "sheets/mine.png").exit_code == 0
    assert (tmp_path / "sheets" / "mine.png").stat().st_size > 1000


def test_a_file_that_is_no_image_is_refused_in_words(ask, tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    result = ask("notes.jpg")
    assert result.exit_code == 1
    assert "Error: The image cannot be used: not an image but a text file." in result.output


def test_a_missing_file_is_refused_by_its_path(ask):
    result = ask("nowhere.jpg")
    assert result.exit_code == 1
    assert "Cannot read nowhere.jpg" in result.output


def test_without_published_components_the_command_says_what_to_do(ask, collection, tmp_path):
    result = ask(str(_some_image(collection.images)), storage=tmp_path / "empty")
    assert result.exit_code == 1
    assert "materialise pca_components first" in result.output
