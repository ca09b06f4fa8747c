"""Pictures as metadata: each story as a miniature on the asset's page and in full behind a click.

Put here which pictures an asset has and what is written beside them. Drawing belongs in
`plots/figures.py`, `contact_sheet.py` and `miniatures.py`, which are imported when there is something to draw:
numpy alone is a tenth of the time in which the code location should load.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

import dagster as dg

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.storage.delta.version import Version

Pictures = dict[str, dg.MarkdownMetadataValue]
Arguments = ParamSpec("Arguments")


def _harmless(draw: Callable[Arguments, Pictures]) -> Callable[Arguments, Pictures]:
    """A picture that cannot be drawn is a line in the log; the asset it shows is as good without."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Pictures:
        try:
            return draw(*args, **kwargs)
        # Fonts, labels and libraries fail in many ways, and none of them concerns the data.
        except Exception as error:
            dg.get_dagster_logger().warning(f"The picture {draw.__name__} cannot be drawn: {error!r}.")
            return {}

    return drawn


@_harmless
def contact_sheet(images: Sequence[bytes | None], captions: Sequence[str]) -> Pictures:
    """A look at some of the sampled images."""
    from fruit_assets.plots import contact_sheet as sheets
    from fruit_assets.plots import miniatures

    contents = [image or b"" for image in images]
    small = miniatures.miniature_markdown(
        miniatures.sheet(contents), "sample", f"{len(contents)} of the sampled images"
    )
    return _pair("sample", small, sheets.contact_sheet(contents, captions))


@_harmless
def class_histogram(counts: Mapping[str, int]) -> Pictures:
    """How many images each class has in the sample."""
    from fruit_assets.plots import contact_sheet as sheets
    from fruit_assets.plots import miniatures

    values = sorted(counts.values(), reverse=True)
    text = f"{values[-1]} to {values[0]} images in each of {len(values)} classes"
    small = miniatures.miniature_markdown(miniatures.bars(values), "images per class", text)
    return _pair("images_per_class", small, sheets.class_histogram(counts))


@_harmless
def work_done(reused: int, computed: int, rejected: int, seconds: Mapping[str, float]) -> Pictures:
    """What was reused and what computed, and where the seconds went."""
    from fruit_assets.plots import figures as plots
    from fruit_assets.plots import miniatures

    text = f"{reused:,} reused, {computed:,} computed, {rejected:,} rejected"
    bar = miniatures.stacked_bar([computed, reused, rejected])
    small = miniatures.miniature_markdown(bar, "reused and computed", text)
    phases = ", ".join(f"{name.replace('_', ' ')} {value:.1f} s" for name, value in seconds.items())
    where = miniatures.miniature_markdown(miniatures.stacked_bar(list(seconds.values())), "phases", phases)
    return {
        **_pair("images", small, plots.reuse_bar(reused, computed, rejected)),
        **_pair("phases", where, plots.phase_bars(seconds)),
    }


@_harmless
def rejected_by_reason(counts: Mapping[str, int]) -> Pictures:
    """Why images were rejected; nothing to draw when none was."""
    from fruit_assets.plots import figures as plots
    from fruit_assets.plots import miniatures

    if not counts:
        return {"reasons": dg.MetadataValue.md("No image was rejected.")}
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    text = ", ".join(f"{reason} {count}" for reason, count in ordered[:3])
    small = miniatures.miniature_markdown(miniatures.bars([count for _, count in ordered]), "reasons", text[:150])
    return _pair("reasons", small, plots.rejected_by_reason(counts))


@_harmless
def scree(ratio: "np.ndarray", chosen: int) -> Pictures:
    """The variance that the components explain together, and where k was chosen."""
    from fruit_assets.plots import figures as plots
    from fruit_assets.plots import miniatures

    text = f"{ratio[:chosen].sum():.1%} of the variance in {chosen} components"
    small = miniatures.miniature_markdown(miniatures.scree(ratio, chosen), "explained variance", text)
    return _pair("explained_variance", small, plots.scree(ratio, chosen))


@_harmless
def scatter(components: "Version", most: int) -> Pictures:
    """The images in the plane of the first two components; at most `most` of them are drawn."""
    import numpy as np

    from fruit_assets.analysis.moments import feature_matrix
    from fruit_assets.plots import figures as plots
    from fruit_assets.plots import miniatures

    count = components.row_count
    numbers = np.linspace(0, count - 1, min(count, most)).astype(np.int64)
    table = components.read_rows(numbers, ["label", "pca_features"])
    points = feature_matrix(table["pca_features"])[:, :2]
    if points.shape[1] < 2:  # a single component: spread the dots along one line
        points = np.column_stack([points, np.zeros(len(points))])
    labels = table["label"].to_pylist()
    text = f"first two components of {len(points):,} images"
    small = miniatures.miniature_markdown(miniatures.scatter(points, labels), "components", text)
    return _pair("map", small, plots.scatter_by_class(points, labels))


@_harmless
def confusion(matrix: "np.ndarray", labels: Sequence[str], accuracy: float) -> Pictures:
    """What the baseline takes for what."""
    from fruit_assets.plots import figures as plots
    from fruit_assets.plots import miniatures

    text = f"{accuracy:.1%} right, {len(labels)} classes"
    small = miniatures.miniature_markdown(miniatures.matrix(matrix), "confusion", text)
    return _pair("confusion", small, plots.confusion_matrix(matrix, labels))


def _pair(name: str, small: str, full: bytes) -> Pictures:
    from fruit_assets.plots import miniatures

    picture = miniatures.picture_markdown(full, name.replace("_", " "))
    return {name: dg.MetadataValue.md(small), f"{name}_full": dg.MetadataValue.md(picture)}
