"""The graph: its assets, and the run config that each of them takes.

Put here one line per asset. What an asset is belongs in its own module.
"""

import dagster as dg

from fruit_assets.assets.components.config import PcaConfig
from fruit_assets.assets.components.pca_components import pca_components
from fruit_assets.assets.components.pca_model import pca_model
from fruit_assets.assets.feature_extractor import ExtractorConfig, feature_extractor
from fruit_assets.assets.features.config import FeaturesConfig
from fruit_assets.assets.features.image_features import image_features
from fruit_assets.assets.fruit_recognition import fruit_recognition
from fruit_assets.assets.raw_images import raw_images
from fruit_assets.assets.sample.config import SamplingConfig
from fruit_assets.assets.sample.sampled_images import sampled_images

ASSETS: list[dg.AssetsDefinition | dg.SourceAsset] = [
    raw_images,
    sampled_images,
    feature_extractor,
    image_features,
    pca_model,
    pca_components,
    fruit_recognition,
]

# Run config by op, which has the name of its asset.
CONFIGS: dict[str, type[dg.Config]] = {
    "sampled_images": SamplingConfig,
    "feature_extractor": ExtractorConfig,
    "image_features": FeaturesConfig,
    "pca_model": PcaConfig,
}
