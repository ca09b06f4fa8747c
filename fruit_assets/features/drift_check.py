"""The guard: what a precision below f32 does to the features of these very images.

Put here the figures of a comparison with f32, the limits they are held against, and the choice that follows
for `auto`. The job that compares belongs in `comparison.py`, what is done with a failure to the assets.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fruit_assets.extractor.architectures import DriftLimits

# A precision has to be worth its rounding.
MIN_SPEEDUP = 1.1


@dataclass(frozen=True)
class DriftFigures:
    """One precision against f32, on the same images.

    Attributes:
        precision: that was compared.
        images: that were compared; 0 when none could be read.
        mean_cosine: of the features at both precisions, image by image.
        least_cosine: the smallest of them.
        neighbour_agreement: share of images whose nearest neighbour is the same image at both.
        accuracy: share of images whose nearest neighbour has their label.
        reference_accuracy: the same at f32.
        accuracy_error: standard error of the difference of the two.
        speedup: images/s of inference against f32.
        native: every processor that took part has instructions for it.
        executed: what it really ran at.
        limits: what the network's features are held against.
    """

    precision: str
    images: int
    mean_cosine: float
    least_cosine: float
    neighbour_agreement: float
    accuracy: float
    reference_accuracy: float
    accuracy_error: float
    speedup: float
    native: bool
    executed: tuple[str, ...]
    limits: DriftLimits

    @property
    def accuracy_change(self) -> float:
        return self.accuracy - self.reference_accuracy

    def problems(self) -> list[str]:
        """Every limit that is passed, with its figure; empty when the features are as good as those at f32."""
        if not self.images:
            return []
        limits = self.limits
        allowed = limits.accuracy_loss + 2 * self.accuracy_error
        # Of few images, chance alone may part more from their neighbours.
        agreement = limits.neighbour_agreement - 2 * 0.5 / self.images**0.5
        held = [
            (self.mean_cosine, limits.mean_cosine, "mean cosine"),
            (self.least_cosine, limits.least_cosine, "least cosine"),
            (self.neighbour_agreement, agreement, "nearest-neighbour agreement"),
        ]
        found = [f"{name} {value:.3f} is below {limit:.2f}" for value, limit, name in held if not value >= limit]
        if self.accuracy_change < -allowed:
            found.append(f"recognition accuracy falls by {-self.accuracy_change:.1%}, more than {allowed:.1%}")
        return found

    def advice(self) -> str:
        """What is wrong with this precision here and which to use instead; empty when nothing is."""
        if not (problems := self.problems()):
            return ""
        better = "bf16 or f32" if self.precision == "int8" else "f32"
        return f"Too far from f32: {'; '.join(problems)}. Use precision {better} for image_features, or auto."

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"executed": list(self.executed)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "DriftFigures":
        limits = DriftLimits(**value.get("limits", {}))  # features of an older version have none
        return DriftFigures(**{**value, "executed": tuple(value["executed"]), "limits": limits})


@dataclass(frozen=True)
class Choice:
    """The precision that `auto` stands for.

    Attributes:
        precision: `int8`, `bf16` or `f32`.
        why: for people.
        figures: of that precision; None at f32.
    """

    precision: str
    why: str
    figures: DriftFigures | None


def choose_precision(candidates: Iterable[str], measure: Callable[[str], DriftFigures], absent: str = "") -> Choice:
    """The fastest candidate that runs natively, is faster than f32 and passes the guard; f32 when none does.

    Args:
        candidates: to choose from.
        measure: compares a candidate with f32.
        absent: why another candidate is not among them.
    """
    measured = [measure(candidate) for candidate in candidates]
    sound = sorted((figures for figures in measured if not _against(figures)), key=lambda one: -one.speedup)
    refused = [f"{one.precision} was not taken: {', '.join(_against(one))}" for one in measured if _against(one)]
    reasons = [absent, *refused] if absent else refused
    if not sound:
        return Choice("f32", "; ".join(reasons), None)
    best, *others = sound
    gained = f"{best.precision} is {best.speedup:.1f} times as fast as f32 here and passes the guard"
    slower = [f"{other.precision} is {other.speedup:.1f} times as fast" for other in others]
    return Choice(best.precision, "; ".join([*reasons, gained, *slower]), best)


def _against(figures: DriftFigures) -> list[str]:
    if not figures.images:
        return ["no image could be read to compare it on"]
    if not figures.native:
        return [f"not every processor has instructions for it ({'; '.join(figures.executed)})"]
    slow = [f"it is only {figures.speedup:.2f} times as fast as f32"] if figures.speedup < MIN_SPEEDUP else []
    return slow + figures.problems()
