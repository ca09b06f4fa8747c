"""The networks of Keras Applications that an extractor can be made of, one entry each.

Put here everything that differs from network to network. To add one, add an entry to `ARCHITECTURES` and a row to
`docs/models.md`; no other file names a network.
"""

from dataclasses import dataclass

from fruit_assets.errors import InputError

_KERAS_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class DriftLimits:
    """How far features at a precision below f32 may lie from those at f32, see `features/drift_check.py`.

    Attributes:
        mean_cosine: least mean of the images' cosines.
        least_cosine: least cosine of any image.
        neighbour_agreement: least share of images that keep their nearest neighbour. Where many images are nearly the
            same, which of them is the nearest means little, so the limit is a wide one.
        accuracy_loss: share of images; a loss counts beyond this and twice its standard error.
    """

    mean_cosine: float = 0.92
    least_cosine: float = 0.75
    neighbour_agreement: float = 0.5
    accuracy_loss: float = 0.02


@dataclass(frozen=True)
class Architecture:
    """A network without its top, average-pooled.

    Attributes:
        name: of its function in `keras.applications`; part of the fingerprint.
        features: channels of its last layer.
        input_sizes: heights and widths in pixels that users can choose.
        weights: path of its ImageNet weights without the top on Keras' server; `{size}` stands for the input size.
        scaling: the divisor of a pixel and what is then added, as its `preprocess_input` does; None where the
            network's own first layers scale (`include_preprocessing=True`). Part of the fingerprint.
        drift_limits: for its int8 and bf16 features.
    """

    name: str
    features: int
    input_sizes: tuple[int, ...]
    weights: str
    scaling: tuple[float, float] | None = None
    drift_limits: DriftLimits = DriftLimits()

    @property
    def scaling_name(self) -> str:
        """Names the scaling in fingerprints and metadata, such as `x/127.5-1`."""
        return "scaled by the network" if self.scaling is None else f"x/{self.scaling[0]:g}{self.scaling[1]:+g}"

    def weights_url(self, input_size: int) -> str:
        """Where Keras downloads the ImageNet weights from; it caches the file under the same name."""
        return f"{_KERAS_SERVER}/{self.weights.format(size=input_size)}"


ARCHITECTURES = (
    Architecture(
        name="MobileNetV2",
        features=1280,
        input_sizes=(96, 128, 160, 192, 224),
        weights="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5",
        scaling=(127.5, -1.0),
        # On 985 photographs: int8 0.952, 0.868 and 0.79 of neighbours kept; bf16 0.992, 0.977 and 0.91.
        drift_limits=DriftLimits(mean_cosine=0.92, least_cosine=0.75),
    ),
    Architecture(
        name="EfficientNetV2B0",
        features=1280,
        input_sizes=(96, 128, 160, 192, 224, 240, 260),
        weights="efficientnet_v2/efficientnetv2-b0_notop.h5",
    ),
)
DEFAULT = ARCHITECTURES[0]


def architecture_named(name: str) -> Architecture:
    """The entry of a network.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    for architecture in ARCHITECTURES:
        if architecture.name == name:
            return architecture
    names = ", ".join(architecture.name for architecture in ARCHITECTURES)
    raise InputError(f"There is no network {name!r}: choose one of {names}.")
