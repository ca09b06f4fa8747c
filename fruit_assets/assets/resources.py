"""Resources that only the assets of this graph need.

Put here small values with a name in the UI. Spark and storage have modules of their own.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from fruit_assets.images.listing import ImageListing, list_images

# Steps in this pool wait for each other across runs: one local Spark, or one EMR cluster, at a time.
SPARK_POOL = "spark"
DEMO_CLASSES = 131
DEMO_IMAGES_PER_CLASS = 50
# Kinds of ignored files in one line of the log.
_NAMED = 10


class ImageCollection(dg.ConfigurableResource[Any]):
    """The raw images.

    Attributes:
        uri: a folder or an `s3://` prefix, laid out `<anything>/<label>/<file>`.
        demo: no collection was named; render demo images when the folder does not exist.
        inventory: URI of an S3 Inventory report to read in place of listing; empty lists.
    """

    uri: str
    demo: bool = False
    inventory: str = ""

    def look(self) -> ImageListing:
        """The collection's listing of now, by the inventory where one is named."""
        return list_images(self.uri, self.inventory or None)

    def listing(self, log: dg.DagsterLogManager) -> ImageListing:
        if self.demo:
            self._render_when_missing(log)
        listing = self.look()
        if listing.unknown:
            groups = "; ".join(map(str, listing.unknown[:_NAMED]))
            files = sum(group.files for group in listing.unknown)
            log.warning(f"Ignored {files} file(s) that are no images by suffix or content: {groups}.")
        if listing.unlabelled:
            log.warning(
                f"{listing.unlabelled} image(s) lie in no class folder of {listing.root} and take no part: "
                "move them into one."
            )
        return listing

    def _render_when_missing(self, log: dg.DagsterLogManager) -> None:
        from fruit_assets.demo.collection import is_missing, render_collection

        root = Path(self.uri)
        if is_missing(root):
            images = DEMO_CLASSES * DEMO_IMAGES_PER_CLASS
            log.warning(f"FRUIT_ASSETS_IMAGES is not set: rendering {images} demo images into {root}.")
            render_collection(root, DEMO_CLASSES, DEMO_IMAGES_PER_CLASS, 0)


class WeightsSetting(dg.ConfigurableResource[Any]):
    """`FRUIT_ASSETS_WEIGHTS`: imagenet, random, auto, a path or an `s3://` URI."""

    value: str


class CorePrice(dg.ConfigurableResource[Any]):
    """What an hour of one core costs where such work is done, for estimates.

    Attributes:
        usd_per_core_hour: dollars.
        basis: the machine and the day of the prices.
    """

    usd_per_core_hour: float
    basis: str
