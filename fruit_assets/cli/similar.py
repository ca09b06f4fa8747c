"""`fruit-assets similar`: arguments, table, contact sheet. The work is `analysis/similarity`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fruit_assets.cli.console import open_console
from fruit_assets.errors import InputError
from fruit_assets.settings import load_settings

if TYPE_CHECKING:
    from fruit_assets.analysis.similarity import Neighbour


@click.command("similar")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--top", default=10, show_default=True, type=click.IntRange(1, 1000), help="Images to find.")
@click.option(
    "--sheet",
    default=Path("similar.png"),
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG with the image and what was found.",
)
def similar(image: Path, top: int, sheet: Path) -> None:
    """Find the published images nearest to IMAGE, any image file, by their principal components."""
    from fruit_assets.analysis.similarity import SimilarImages
    from fruit_assets.object_store.stores import open_store
    from fruit_assets.storage.delta.table import Table

    content = _content(image)
    settings = load_settings()
    store = open_store(settings.storage)
    folders = (Table(store.below(name)) for name in ("pca_components", "pca_model", "feature_extractor"))
    published = SimilarImages.of(*folders)
    neighbours = published.nearest(published.place(content, settings.cache), top)
    _show(neighbours)
    _draw(sheet, content, neighbours, settings.images)
    click.echo(f"Compared with {published.components.row_count:,} images. Contact sheet: {sheet}")


def _content(image: Path) -> bytes:
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {image}: {error.strerror}. Name an image file.") from error


def _show(neighbours: "list[Neighbour]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("", "similarity", "label", "path")
    for rank, neighbour in enumerate(neighbours, start=1):
        table.add_row(str(rank), f"{neighbour.similarity:.3f}", Text(neighbour.label), Text(neighbour.path))
    open_console().print(table)


def _draw(sheet: Path, content: bytes, neighbours: "list[Neighbour]", collection: str) -> None:
    from fruit_assets.images.fetching import read_few
    from fruit_assets.plots.contact_sheet import contact_sheet

    images = read_few(collection, [neighbour.path for neighbour in neighbours])
    captions = [f"{neighbour.similarity:.2f} {neighbour.label}" for neighbour in neighbours]
    picture = contact_sheet([content, *(found or b"" for found in images)], ["asked for", *captions], columns=6)
    try:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(picture)
    except OSError as error:
        raise InputError(f"Cannot write {sheet}: {error.strerror}. Name another file with --sheet.") from error
