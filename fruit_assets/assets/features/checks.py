"""The checks of `image_features`, and the rules that only it has."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import dagster as dg

from fruit_assets.assets.check_set import CheckSet
from fruit_assets.features.drift_check import DriftFigures

MAX_REJECTED_SHARE = 0.05
MAX_FEATURELESS_SHARE = 0.01

CHECKS = CheckSet(
    "image_features",
    blocking={
        "rows_reconcile": "sampled = featurised + rejected: no image is lost.",
        "dimensions": "Every row has as many features as the extractor gives.",
        "finite_values": "No feature is NaN or infinite.",
        "mostly_readable": "No more of the sampled images were rejected than max_rejected_share allows.",
        "one_arithmetic": "All features were computed at one precision, by one kind of processor.",
    },
    warnings={
        "few_rejected": f"At most {MAX_REJECTED_SHARE:.0%} of the sampled images were rejected.",
        "few_featureless": f"At most {MAX_FEATURELESS_SHARE:.0%} of the computed images are nearly of one level.",
        "close_to_f32": "At a precision below f32, features and recognition stay close to those at f32.",
    },
)


def few_rejected(sampled: int, rejected: int) -> dg.AssetCheckResult:
    """The share of rejected images should stay small."""
    share = rejected / max(sampled, 1)
    text = f"{rejected} of {sampled} images ({share:.1%}) were rejected; rejected_images lists them with reasons."
    return CHECKS.result("few_rejected", share <= MAX_REJECTED_SHARE, text, {"rejected_share": share})


def few_featureless(computed: int, featureless: int) -> dg.AssetCheckResult:
    """Images that are black or white from end to end were probably decoded with the wrong depth, or show nothing."""
    share = featureless / max(computed, 1)
    text = f"{featureless} of the {computed} images computed by this run ({share:.1%}) show next to nothing"
    text += ": all their pixels have nearly the same level." if featureless else "."
    return CHECKS.result("few_featureless", share <= MAX_FEATURELESS_SHARE, text, {"featureless_images": featureless})


@dataclass(frozen=True)
class Cause:
    """Why images were rejected.

    Attributes:
        name: what their reasons begin with, up to the first colon; what follows may differ between images.
        count: of the images.
        path: of the first.
        reason: of the first, in full.
    """

    name: str
    count: int
    path: str
    reason: str


def mostly_readable(sampled: int, rejected: int, commonest: Cause | None, allowed: float) -> dg.AssetCheckResult:
    """A collection that cannot be read must not replace one that could.

    Args:
        sampled: images of the sample.
        rejected: how many of them were rejected.
        commonest: why most of these were; None when none was.
        allowed: largest share of them.
    """
    text = f"{rejected} of {sampled} images were rejected; {allowed:.0%} are allowed."
    passed = rejected <= allowed * sampled
    if not passed and commonest is not None:
        text += (
            f" The commonest cause, {commonest.count} times: {commonest.name}, such as {commonest.path} "
            f"({commonest.reason})."
        )
        text += " Correct the collection, or raise max_rejected_share."
    return CHECKS.result("mostly_readable", passed, text, {"rejected": rejected, "allowed_share": allowed})


def close_to_f32(precision: str, guard: DriftFigures | None) -> dg.AssetCheckResult:
    """Features at a lower precision should serve as those at f32 do, on these very images."""
    if guard is None:
        return CHECKS.result("close_to_f32", True, f"Computed at {precision}.", {"precision": precision})
    text = (
        f"{guard.images} images at {precision} and at f32: mean cosine {guard.mean_cosine:.3f}, least "
        f"{guard.least_cosine:.3f}, {guard.neighbour_agreement:.0%} keep their nearest neighbour, recognition "
        f"{guard.accuracy:.1%} against {guard.reference_accuracy:.1%}. {guard.advice()}"
    ).rstrip()
    metadata = {
        "precision": precision,
        "images": guard.images,
        "mean_cosine": guard.mean_cosine,
        "least_cosine": guard.least_cosine,
        "neighbour_agreement": guard.neighbour_agreement,
        "accuracy_change": guard.accuracy_change,
    }
    return CHECKS.result("close_to_f32", not guard.problems(), text, metadata)


def one_arithmetic(precision: str, arithmetics: Sequence[str], executed: AbstractSet[str]) -> dg.AssetCheckResult:
    """No version may mix what processors round differently, and none may claim a precision it does not have."""
    computed = "; ".join(arithmetics) or "nothing computed"
    differs = len(arithmetics) > 1
    text = f"Asked for {precision}; computed {computed}."
    if differs:
        text += (
            " These round differently. Give the cluster one kind of instance, and run again with `reuse: false`; "
            "or use precision f32, where the difference is in the last digits."
        )
    elif executed - {precision}:
        text += f" This processor does not run {precision}: use precision f32, or auto."
    # At f32 processors differ by rounding of the last digits: worth knowing, nothing to stop for.
    blocks = differs and precision != "f32"
    passed = not differs and executed <= {precision}
    return CHECKS.result("one_arithmetic", passed, text, {"arithmetics": list(arithmetics)}, blocks=blocks)
