"""`fruit-assets fetch-images`: arguments, progress bars, closing line. The work is `demo/fetch`."""

from pathlib import Path

import click


@click.command("fetch-images")
@click.option(
    "--out", default=Path("data/fruits-360"), show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--ref", help="Branch, tag or commit of the Fruits-360 repository; a fixed one when left out.")
@click.option("--url", help="Another archive: .tar, .tar.gz, .tar.bz2, .tar.xz or .zip.")
@click.option("--archive", is_flag=True, help="Download the repository's archive instead of using git.")
@click.option("--keep-archive", is_flag=True, help="Keep the downloaded archive beside the folder.")
def fetch_images(out: Path, ref: str | None, url: str | None, archive: bool, keep_archive: bool) -> None:
    """Download the Fruits-360 photographs with their licence.

    Run it again after an interruption. With git it continues at the class it was at; an archive is
    continued where its server allows that, which GitHub's does not.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from fruit_assets.demo.archive_source import ARCHIVE, Archive
    from fruit_assets.demo.fetch import REF, fetch_images
    from fruit_assets.demo.git_source import Repository, git_is_installed

    if ref and url:
        raise click.UsageError("--ref names a version of the Fruits-360 repository; it does not go with --url.")
    with_git = not (url or archive or keep_archive) and git_is_installed()
    kept_in = out.parent if keep_archive else None
    source = Repository(ref or REF) if with_git else Archive(url or ARCHIVE.format(ref=ref or REF), kept_in)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def show(unit: str, done: int, total: int | None) -> None:
            if unit not in bars:
                bars[unit] = progress.add_task("Downloading" if unit == "bytes" else "Images", amount="")
            amount = _amount(unit, done) + (f" of {_amount(unit, total)}" if total else "")
            progress.update(bars[unit], completed=done, total=total, amount=amount)

        fetched = fetch_images(out, source, show)
    click.echo(f"{fetched.images:,} images of {fetched.classes} classes in {fetched.root}.")
    click.echo(f"From {fetched.url}: {fetched.bytes:,} bytes, {fetched.checksum}")
    click.echo(f"Use them with FRUIT_ASSETS_IMAGES={fetched.root}")


def _amount(unit: str, count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if unit == "bytes" else f"{count:,} images"
