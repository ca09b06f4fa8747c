"""`raw_images`: the collection as it is, outside of our control.

Put here how the collection is observed. Taking images from it belongs in `sampled_images.py`.
"""

import warnings
from typing import Any

import dagster as dg

from fruit_assets.assets.publishing import translate_errors
from fruit_assets.assets.resources import ImageCollection
from fruit_assets.images.listing import ImageListing

RAW_IMAGES = "raw_images"
_LISTED = 20
_SPEC = dg.AssetSpec(
    RAW_IMAGES,
    group_name="images",
    kinds={"file", "image"},
    description="The image collection at `FRUIT_ASSETS_IMAGES`: a folder or an `s3://` prefix laid "
    "out `<anything>/<label>/<file>.jpg`.\n\nAn observation lists it without reading an image. Its data version "
    "changes when an image is added, removed or rewritten. Every sampling run records one; so does the sensor "
    "`watch_raw_images` when something changed, once it is switched on.",
)


with warnings.catch_warnings():
    # Observable assets are marked beta, and nothing else gives a collection an "Observe" button. (The decorator for a
    # single one makes Dagster warn of itself when the project is loaded.)
    warnings.simplefilter("ignore", dg.BetaWarning)

    @dg.multi_observable_source_asset(name=RAW_IMAGES, specs=[_SPEC])  # type: ignore[untyped-decorator]
    def raw_images(context: dg.OpExecutionContext, images: ImageCollection) -> dg.ObserveResult:
        """List the collection and record files, bytes and classes."""
        with translate_errors():
            listing = images.listing(context.log)
        return dg.ObserveResult(data_version=dg.DataVersion(listing.data_version()), metadata=observed(listing))


def observed(listing: ImageListing) -> dict[str, Any]:
    """Metadata of an observation."""
    counts = listing.class_counts()
    metadata: dict[str, Any] = {
        "dagster/uri": listing.root,
        "images": listing.count,
        "bytes": listing.total_bytes,
        "classes": len(counts),
        "smallest_class": min(counts.values()),
        "largest_class": max(counts.values()),
        "ignored_files": listing.ignored,
    }
    if listing.unknown:
        rows = "\n".join(
            f"| `{group.folder}` | `{group.suffix}` | {group.files} |" for group in listing.unknown[:_LISTED]
        )
        metadata["ignored_unusual_files"] = dg.MetadataValue.md(
            f"No images by suffix or content, and left out:\n\n| folder | suffix | files |\n|---|---|---|\n{rows}"
        )
    if listing.unlabelled:
        metadata["unlabelled_images"] = dg.MetadataValue.md(
            f"**{listing.unlabelled} images lie in the collection's root**, in no class folder. "
            "They are left out: move them into one."
        )
    return metadata


def observation_of(listing: ImageListing) -> dg.AssetObservation:
    """The observation that a sampling run records on the way, having listed the collection anyway."""
    return dg.AssetObservation(
        asset_key=RAW_IMAGES, metadata=observed(listing), tags={"dagster/data_version": listing.data_version()}
    )
