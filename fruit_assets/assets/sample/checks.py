"""The sample's checks: every chosen image is a row, and every class is covered.

Put here how they are decided, from figures.
"""

from collections.abc import Mapping

import dagster as dg

from fruit_assets.assets.check_set import CheckSet

NAME = "sampled_images"
CHECKS = CheckSet(
    NAME,
    blocking={"rows_reconcile": "Every chosen image is a row, once."},
    warnings={"class_coverage": "Every class of the collection has at least two images in the sample."},
)


def class_coverage(
    available: Mapping[str, int], sampled: Mapping[str, int], lost: Mapping[str, int] | None = None
) -> dg.AssetCheckResult:
    """Every class of the collection should have two images in the sample, so that it can be tested on.

    Args:
        available: images per label.
        sampled: images of the sample per label.
        lost: class folders without a listed image, and how many files of an unusual kind they hold.
    """
    missing = sorted(set(available) - set(sampled))
    single = sorted(label for label, count in sampled.items() if count < 2)
    text = f"{len(sampled)} of {len(available)} classes are in the sample"
    if missing or single:
        named = ", ".join((missing + single)[:5])
        text += (
            f"; {len(single)} with a single image, {len(missing)} with none ({named}). Raise min_per_class to 2 or more"
        )
    if lost:
        named = ", ".join(f"{label} ({files} files)" for label, files in sorted(lost.items())[:5])
        text += f"; {len(lost)} more hold no file that can be read as an image: {named}. Convert these to JPEG or PNG"
    metadata = {
        "classes": len(available),
        "sampled_classes": len(sampled),
        "single_image_classes": len(single),
        "lost_classes": len(lost or ()),
    }
    return CHECKS.result("class_coverage", not (missing or single or lost), f"{text}.", metadata)
