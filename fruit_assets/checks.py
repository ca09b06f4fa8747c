"""Asset checks: what must hold before a version is published, and what a person should look at.

Put here the specs and how each is decided from figures that a step already has. A blocking check
(severity ERROR) keeps a version from being published; a warning only shows.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.features.drift_check import DriftFigures

MAX_REJECTED_SHARE = 0.05
MIN_VARIANCE_EXPLAINED = 0.5
_ORTHONORMAL_TOLERANCE = 1e-8

_BLOCKING = {
    "sampled_images": {"rows_reconcile": "Every chosen image is a row, once."},
    "image_features": {
        "rows_reconcile": "sampled = featurised + rejected: no image is lost.",
        "dimensions": "Every row has as many features as the extractor gives.",
        "finite_values": "No feature is NaN or infinite.",
        "one_arithmetic": "All features were computed at one precision, by one kind of processor.",
    },
    "pca_model": {"orthonormal_components": "The components are orthonormal.", "finite_values": "No NaN, no infinity."},
    "pca_components": {
        "rows_reconcile": "One row per featurised image.",
        "dimensions": "Every row has as many components as the model.",
        "finite_values": "No component is NaN or infinite.",
    },
}
_WARNING = {
    "sampled_images": {"class_coverage": "Every class of the collection has at least two images in the sample."},
    "feature_extractor": {"weights_are_pretrained": "The weights were trained on photographs, not drawn at random."},
    "image_features": {
        "few_rejected": f"At most {MAX_REJECTED_SHARE:.0%} of the sampled images were rejected.",
        "close_to_f32": "At a precision below f32, features and recognition stay close to those at f32.",
    },
    "pca_model": {
        "variance_explained": f"The components explain at least {MIN_VARIANCE_EXPLAINED:.0%} of the variance."
    },
    "fruit_recognition": {"better_than_chance": "The baseline recognises more than naming the commonest label would."},
}


def specs_for(asset: str) -> list[dg.AssetCheckSpec]:
    """The checks of one asset."""
    blocking = _BLOCKING.get(asset, {})
    described = {**blocking, **_WARNING.get(asset, {})}
    return [
        dg.AssetCheckSpec(name, asset=asset, description=text, blocking=name in blocking)
        for name, text in described.items()
    ]


def result(
    asset: str, name: str, passed: bool, text: str, metadata: Mapping[str, Any] | None = None, *, blocks: bool = True
) -> dg.AssetCheckResult:
    """The outcome of one check; its severity follows from whether the check blocks, and may this time."""
    blocking = blocks and name in _BLOCKING.get(asset, {})
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=bool(passed),
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=dict(metadata or {}),
    )


def rows_reconcile(asset: str, expected: int, parts: Mapping[str, int]) -> dg.AssetCheckResult:
    """`expected` rows must be the sum of `parts`."""
    total = sum(parts.values())
    account = " + ".join(f"{count} {name}" for name, count in parts.items())
    text = f"{expected} rows expected, {account} found" + (
        "." if expected == total else f": {expected - total} are missing."
    )
    return result(asset, "rows_reconcile", expected == total, text, {"expected": expected, **parts})


def dimensions(asset: str, expected: int, shortest: int, longest: int) -> dg.AssetCheckResult:
    """Every row must have `expected` values, from the shortest and longest row found."""
    passed = shortest == longest == expected
    text = f"{expected} values per row expected, {shortest} to {longest} found."
    return result(asset, "dimensions", passed, text, {"expected": expected, "shortest": shortest, "longest": longest})


def finite_values(asset: str, broken_rows: int, example: str | None = None) -> dg.AssetCheckResult:
    """No row may hold a NaN or an infinity."""
    text = "All values are finite."
    if broken_rows:
        text = f"{broken_rows} row(s) hold NaN or infinite values" + (f", such as {example}." if example else ".")
    return result(asset, "finite_values", broken_rows == 0, text, {"rows_with_nan_or_infinity": broken_rows})


def class_coverage(available: Mapping[str, int], sampled: Mapping[str, int]) -> dg.AssetCheckResult:
    """Every class of the collection should have two images in the sample, so that it can be tested on."""
    missing = sorted(set(available) - set(sampled))
    single = sorted(label for label, count in sampled.items() if count < 2)
    text = f"{len(sampled)} of {len(available)} classes are in the sample"
    if missing or single:
        named = ", ".join((missing + single)[:5])
        text += (
            f"; {len(single)} with a single image, {len(missing)} with none ({named}). Raise min_per_class to 2 or more"
        )
    metadata = {"classes": len(available), "sampled_classes": len(sampled), "single_image_classes": len(single)}
    return result("sampled_images", "class_coverage", not missing and not single, f"{text}.", metadata)


def weights_are_pretrained(weights: Mapping[str, str]) -> dg.AssetCheckResult:
    """Random weights show here, with the reason why they were taken."""
    passed = weights["kind"] != "random"
    text = weights["warning"] or f"Weights: {weights['kind']} {weights['location']}".strip() + "."
    return result("feature_extractor", "weights_are_pretrained", passed, text, {"kind": weights["kind"]})


def few_rejected(sampled: int, rejected: int) -> dg.AssetCheckResult:
    """The share of rejected images should stay small."""
    share = rejected / max(sampled, 1)
    text = f"{rejected} of {sampled} images ({share:.1%}) were rejected; rejected_images says which and why."
    return result("image_features", "few_rejected", share <= MAX_REJECTED_SHARE, text, {"rejected_share": share})


def close_to_f32(precision: str, guard: "DriftFigures | None") -> dg.AssetCheckResult:
    """Features at a lower precision should serve as those at f32 do, on these very images."""
    if guard is None:
        return result("image_features", "close_to_f32", True, f"Computed at {precision}.", {"precision": precision})
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
    return result("image_features", "close_to_f32", not guard.problems(), text, metadata)


def one_arithmetic(precision: str, arithmetics: Sequence[str], executed: AbstractSet[str]) -> dg.AssetCheckResult:
    """No version may mix what processors round differently, and none may claim a precision it does not have."""
    told = "; ".join(arithmetics) or "nothing computed"
    differs = len(arithmetics) > 1
    text = f"Asked for {precision}; computed {told}."
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
    return result("image_features", "one_arithmetic", passed, text, {"arithmetics": list(arithmetics)}, blocks=blocks)


def orthonormal_components(components: "np.ndarray") -> dg.AssetCheckResult:
    """The rows of (k, d) components must be orthonormal."""
    import numpy as np

    deviation = float(np.abs(components @ components.T - np.eye(len(components))).max())
    text = f"The largest deviation from orthonormal is {deviation:.1e}."
    passed = deviation < _ORTHONORMAL_TOLERANCE
    return result("pca_model", "orthonormal_components", passed, text, {"deviation": deviation})


def variance_explained(share: float, n_components: int) -> dg.AssetCheckResult:
    """The components kept should explain a good part of the variance."""
    text = f"{n_components} components explain {share:.1%} of the variance."
    return result(
        "pca_model", "variance_explained", share >= MIN_VARIANCE_EXPLAINED, text, {"variance_explained": share}
    )


def better_than_chance(accuracy: float, chance: float, test_images: int) -> dg.AssetCheckResult:
    """The baseline should beat naming the commonest label."""
    if not test_images:
        text = "No label has two images, so nothing could be tested. Raise min_per_class of sampled_images."
    else:
        text = f"Accuracy {accuracy:.1%} on {test_images} images; naming the commonest label gives {chance:.1%}."
    return result(
        "fruit_recognition", "better_than_chance", accuracy > chance, text, {"accuracy": accuracy, "chance": chance}
    )
