"""A network with seeded random weights whose features are as large as those of trained ones.

Put here what tests of a network need that has no ImageNet weights at hand. Of a network as Keras initialises it the
features are near zero, and equal to 1e-3 whatever goes wrong.
"""

from typing import Any

import numpy as np

from fruit_assets.extractor.architectures import Architecture


def blocks_of_pixels(count: int, size: int) -> np.ndarray:
    """Uint8 (count, size, size, 3): six by six areas of random colours, different for every image."""
    areas = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return areas.repeat(size // 6 + 1, 1).repeat(size // 6 + 1, 2)[:, :size, :size]


def network_without_top(architecture: Architecture, size: int) -> Any:
    """The network as Keras Applications builds it, untrained."""
    import keras

    keras.utils.set_random_seed(0)
    build = getattr(keras.applications, architecture.name)
    return build(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))


def calibrated_network(architecture: Architecture, size: int) -> Any:
    """The same with the statistics of every batch normalisation taken from 24 images."""
    import keras

    network = network_without_top(architecture, size)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(keras_input(architecture, blocks_of_pixels(24, size)), training=True)
    return network


def keras_input(architecture: Architecture, pixels: np.ndarray) -> np.ndarray:
    """What the network is given for uint8 pixels, by the `preprocess_input` of its module in Keras Applications."""
    import importlib

    import keras

    module = importlib.import_module(getattr(keras.applications, architecture.name).__module__)
    prepared: np.ndarray = module.preprocess_input(pixels.astype(np.float32))
    return prepared
