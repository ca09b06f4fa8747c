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
    """Download the Fruits-360 photographs; their licence comes with them.

    Run it again after an interruption. With git it continues at the class it was at; an archive is
    continued where its server allows that, which GitHub's does not.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from fruit_assets.demo.fetch import ARCHIVE, REF, fetch_images
    from fruit_assets.demo.fetch_git import fetch_repository, git_is_installed

    if ref and url:
        raise click.UsageError("--ref names a version of the Fruits-360 repository; it does not go with --url.")
    with_git = not (url or archive or keep_archive) and git_is_installed()
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        download = progress.add_task("Downloading", total=None, amount="")
        unpack = progress.add_task("Unpacking", total=None, amount="", visible=False)

        def downloaded(done: int, total: int | None) -> None:
            amount = f"{done / 1e6:,.1f}" + (f" of {total / 1e6:,.1f} MB" if total else " MB")
            progress.update(download, completed=done, total=total, amount=amount)

        def unpacked(done: int, total: int | None) -> None:
            progress.update(unpack, completed=done, total=total, amount=f"{done:,} images", visible=True)

        def checked_out(done: int, total: int) -> None:
            progress.update(download, completed=done, total=total, amount=f"{done:,} of {total:,} images")

        if with_git:
            fetched = fetch_repository(out, ref or REF, on_progress=checked_out)
        else:
            fetched = fetch_images(
                out,
                url or ARCHIVE.format(ref=ref or REF),
                on_download=downloaded,
                on_unpack=unpacked,
                keep_archive=keep_archive,
            )
    click.echo(f"{fetched.images:,} images of {fetched.classes} classes in {fetched.root}.")
    click.echo(f"From {fetched.url}: {fetched.bytes:,} bytes, {fetched.checksum}")
    click.echo(f"Use them with FRUIT_ASSETS_IMAGES={fetched.root}")
