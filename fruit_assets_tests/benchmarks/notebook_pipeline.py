"""The method of the student's notebook that this project replaces, unchanged.

Put here that pipeline, independent of this project's code; run it as `python -m ... IMAGES OUT`. It reads files,
builds the network in every task, and computes the features again for each pass of the PCA.
"""

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

PARTITIONS = 24
COMPONENTS = 10
_SIDE = 224


def pipeline(session: "SparkSession", images: str, weights: str, components: int) -> "DataFrame":
    """Images to components, lazily: `path, label, features, pca_features`."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.linalg import Vectors, VectorUDT
    from pyspark.sql import functions as F

    files = (
        session.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(images)
    )
    labelled = files.withColumn("label", F.element_at(F.split("path", "/"), -2)).repartition(PARTITIONS)
    featurize = _featurizer(session, weights)
    features = labelled.select("path", "label", featurize("content").alias("features"))
    to_vector = F.udf(lambda values: Vectors.dense(values), VectorUDT())
    vectors = features.withColumn("vector", to_vector("features"))
    model = PCA(k=components, inputCol="vector", outputCol="pca_features").fit(vectors)
    return model.transform(vectors).select("path", "label", "features", "pca_features")


def network(weights: str) -> Any:
    """MobileNetV2 without its top; `weights` as for FRUIT_ASSETS_WEIGHTS."""
    import keras

    if weights == "random":
        keras.utils.set_random_seed(0)
    downloaded = "imagenet" if weights == "imagenet" else None
    model = keras.applications.MobileNetV2(
        weights=downloaded, include_top=False, pooling="avg", input_shape=(_SIDE, _SIDE, 3)
    )
    if weights not in ("imagenet", "random"):
        model.load_weights(weights)
    return model


def _featurizer(session: "SparkSession", weights: str) -> Any:
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    shared = session.sparkContext.broadcast(network(weights).get_weights())

    def featurize(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        import keras

        model = keras.applications.MobileNetV2(
            weights=None, include_top=False, pooling="avg", input_shape=(_SIDE, _SIDE, 3)
        )
        model.set_weights(shared.value)
        for batch in contents:
            yield _features(model, batch)

    return pandas_udf(featurize, "array<float>")  # type: ignore[call-overload]  # Spark goes by the hints


def _features(model: Any, contents: "pd.Series") -> "pd.Series":
    import numpy as np
    import pandas as pd

    pixels = np.stack([_pixels(content) for content in contents])
    return pd.Series([row.flatten() for row in model.predict(pixels, verbose=0)])


def _pixels(content: bytes) -> "np.ndarray":
    import numpy as np
    from keras.applications.mobilenet_v2 import preprocess_input
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB").resize((_SIDE, _SIDE))
    return np.asarray(preprocess_input(np.asarray(image, dtype=np.float32)))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("out")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--components", type=int, default=COMPONENTS)
    given = parser.parse_args(arguments)
    from pyspark.sql import SparkSession

    # All cores, as for the project's job; otherwise Spark's defaults.
    session = SparkSession.builder.appName("notebook").master("local[*]").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    pipeline(session, given.images, given.weights, given.components).write.mode("overwrite").parquet(given.out)
    session.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
