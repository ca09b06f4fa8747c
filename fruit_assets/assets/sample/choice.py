"""What there is, and what of it is in the sample, as a step of a run.

Put here the listing and the choice with their log and metadata. How images are chosen belongs in `images/sampling.py`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from fruit_assets.assets.publishing import PhaseTimer
from fruit_assets.assets.raw_images import observation_of
from fruit_assets.assets.resources import ImageCollection
from fruit_assets.assets.sample.config import SamplingConfig
from fruit_assets.images.listing import class_counts, digest_of
from fruit_assets.images.sampling import choose, require_enough

if TYPE_CHECKING:
    from fruit_assets.images.listing import ImageListing
    from fruit_assets.keys.key_table import KeyTable


@dataclass(frozen=True)
class Choice:
    """What there is, and what of it is in the sample.

    Attributes:
        listing: the collection.
        chosen: its rows that are in the sample, sorted by path.
        class_counts: chosen images per label.
        digest: of the chosen rows.
    """

    listing: "ImageListing"
    chosen: "KeyTable"
    class_counts: dict[str, int]
    digest: str

    @cached_property
    def count(self) -> int:
        return self.chosen.num_rows

    def figures(self) -> dict[str, Any]:
        return {
            "images_listed": self.listing.count,
            "sampled_classes": len(self.class_counts),
            "sampled_share": self.count / self.listing.count,
        }


def choose_images(
    context: dg.AssetExecutionContext, config: SamplingConfig, images: ImageCollection, phases: PhaseTimer
) -> Choice:
    """List the collection and choose; the listing is also an observation of `raw_images`."""
    with phases("listing"):
        listing = images.listing(context.log)
    context.log_event(observation_of(listing))
    with phases("choosing"):
        chosen = choose(listing.files, config.plan(listing.count))
        counts = class_counts(chosen)
        require_enough(sum(counts.values()))
    context.log.info(
        f"Chose {sum(counts.values())} of {listing.count} images in {len(listing.class_counts())} classes."
    )
    return Choice(listing, chosen, counts, digest_of(chosen))
