"""`fruit-assets demo-images`: arguments, progress bar, closing line. The work is `demo/collection`."""

from pathlib import Path

import click


@click.command("demo-images")
@click.option("--classes", default=131, show_default=True, help="Classes, spread over the catalogue of 131.")
@click.option("--per-class", default=50, show_default=True, help="Images per class; a quarter of them goes to Test/.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives other fruit in other poses.")
@click.option(
    "--out", default=Path("data/demo_images"), show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; as many as processors when left out.")
def demo_images(classes: int, per_class: int, seed: int, out: Path, workers: int | None) -> None:
    """Render a collection of synthetic fruit photographs, laid out as Fruits-360 is.

    The same arguments give the same bytes. An interrupted call is completed by the next one.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fruit_assets.demo.collection import render_collection

    columns = (TextColumn("Rendering"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("render", total=max(classes * per_class, 0))

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        collection = render_collection(out, classes, per_class, seed, workers=workers, on_progress=advance)
    news = f"{collection.rendered:,} rendered now" if collection.rendered else "all rendered before"
    click.echo(f"{collection.images:,} demo images of {len(collection.labels)} classes in {collection.root} ({news}).")
