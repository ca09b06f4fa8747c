"""The sensor of the image collection: detects new, removed and rewritten images by listing.

Put here how a change is detected and observed. Listing belongs in `images/listing.py`, refreshing after a change in
`conditions.py`.
"""

import json
from pathlib import Path

import dagster as dg

from fruit_assets.assets.raw_images import observation_of
from fruit_assets.assets.resources import ImageCollection
from fruit_assets.images.listing import ImageListing

SECONDS_BETWEEN_LISTINGS = 300


@dg.sensor(
    name="watch_raw_images",
    description="Lists the image collection every few minutes and records an observation of raw_images when an "
    "image was added, removed or rewritten. It starts no run; refresh_on_change does.",
    minimum_interval_seconds=SECONDS_BETWEEN_LISTINGS,
    default_status=dg.DefaultSensorStatus.STOPPED,
)
def raw_images_sensor(context: dg.SensorEvaluationContext, images: ImageCollection) -> dg.SensorResult | dg.SkipReason:
    """Observe `raw_images` when its data version differs from the one in the cursor.

    The instance stores the cursor, so a restart neither misses a change nor reports one twice. A failed listing
    fails the tick with its message, and the next tick lists again.
    """
    if images.demo and not Path(images.uri).exists():
        return dg.SkipReason("FRUIT_ASSETS_IMAGES is not set; the first run renders the demo images to watch.")
    listing = images.look()
    version, count, size = listing.data_version(), listing.count, listing.total_bytes
    before = json.loads(context.cursor) if context.cursor else None
    if before and before["data_version"] == version:
        return dg.SkipReason(f"Nothing changed: {count:,} images, {size:,} bytes.")
    change = _change(before, listing)
    return dg.SensorResult(
        asset_events=[observation_of(listing)._replace(description=change)],
        # Dagster shows a tick without a run as skipped, and without this reason as one that returned nothing.
        skip_reason=dg.SkipReason(f"Observed raw_images. {change}"),
        cursor=json.dumps({"data_version": version, "images": count, "bytes": size}),
    )


def _change(before: dict[str, int] | None, listing: ImageListing) -> str:
    if before is None:
        return f"First listing: {listing.count:,} images."
    more, bytes_more = listing.count - before["images"], listing.total_bytes - before["bytes"]
    return f"The collection changed: {more:+,} images, {bytes_more:+,} bytes; now {listing.count:,} images."
