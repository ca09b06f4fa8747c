"""`fruit_recognition`: evidence that the components serve.

Put here the asset with its checks. The classifier belongs in `analysis/recognition.py`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.analysis.recognition import MAX_IMAGES, Recognition, evaluate
from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.publishing import PhaseTimer, publish_results, translate_errors
from fruit_assets.images.sampling import SamplePlan, choose
from fruit_assets.keys.key_table import KeyDatabase
from fruit_assets.keys.row_keys import number_rows
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.parquet_files import read_tables
from fruit_assets.storage.staging import republish

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "fruit_recognition"
CHECKS = CheckSet(
    NAME, warnings={"better_than_chance": "The baseline recognises more than naming the commonest label would."}
)
_TABLE_ROWS = 12


def better_than_chance(accuracy: float, chance: float, test_images: int) -> dg.AssetCheckResult:
    """The baseline should beat naming the commonest label."""
    if not test_images:
        text = "No label has two images, so nothing could be tested. Raise min_per_class of sampled_images."
    else:
        text = f"Accuracy {accuracy:.1%} on {test_images} images; naming the commonest label gives {chance:.1%}."
    return CHECKS.result("better_than_chance", accuracy > chance, text, {"accuracy": accuracy, "chance": chance})


@dg.asset(
    name=NAME,
    group_name="recognition",
    kinds={"scikitlearn"},
    owners=["team:image-features"],
    code_version="1",
    check_specs=CHECKS.specs(),
)
def fruit_recognition(
    context: dg.AssetExecutionContext, pca_components: Version, storage: AssetStorage
) -> Iterator[Any]:
    """How well a baseline recognises fruit from the components: accuracy, macro-F1, a score per class.

    A linear discriminant is trained on 70 % of each class and tested on the rest. At most 20,000 images are
    used, chosen as reproducibly as the sample is.

    ```python
    import json; from deltalake import DeltaTable
    rows = DeltaTable("data/assets/fruit_recognition").to_pyarrow_table().to_pylist()
    report = json.loads({row["name"]: row["content"] for row in rows}["recognition.json"])
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        writing = storage.writing(NAME, context)
        version = pca_components.facts["data_version"]
        if (before := writing.find_latest(data_version=version)) is not None:
            context.log.info("The components have not changed: the previous report is published again.")
            outcome, staged = Recognition.of(before), republish(before, writing)
        else:
            outcome = _evaluated(pca_components, phases)
            staged = stage_files(outcome.to_files(), writing)
        with phases("pictures"):
            metadata = pictures.confusion(outcome.confusion, outcome.labels, outcome.accuracy)
        result = dg.MaterializeResult(
            asset_key=NAME,
            value=staged.with_facts(data_version=version).made_from(pca_components),
            metadata={**metadata, **_scores(outcome), **phases.metadata()},
            data_version=dg.DataVersion(version),
        )
        checks = [better_than_chance(outcome.accuracy, outcome.chance, outcome.test_images)]
        yield from publish_results([result], checks)


def _evaluated(components: Version, phases: PhaseTimer) -> Recognition:
    with phases("reading"):
        table = _some_of(components)
    with phases("training"):
        points, labels, paths = (table[name] for name in ("pca_features", "label", "path"))
        return evaluate(feature_matrix(points), labels.to_pylist(), paths.to_pylist())


def _some_of(components: Version) -> "pa.Table":
    """The rows to train and test on: all, or `MAX_IMAGES` of them, with the same share of every label.

    The keys from which they are chosen lie on local disk, so that memory does not depend on the number of rows.
    """
    import numpy as np

    if components.row_count <= MAX_IMAGES:
        return components.read_table()
    keys = ["path", "label"]
    rows = number_rows(read_tables(components.store, components.files, keys), keys, KeyDatabase())
    chosen = choose(rows, SamplePlan(fraction=MAX_IMAGES / components.row_count))
    numbers = np.sort(chosen.batches(["row"]).read_all()["row"].to_numpy())
    return components.read_rows(numbers, [*keys, "pca_features"])


def _scores(outcome: Recognition) -> dict[str, Any]:
    hardest = sorted(outcome.per_label.items(), key=lambda item: (item[1]["f1"], item[0]))[:_TABLE_ROWS]
    rows = "\n".join(
        f"| {label} | {score['precision']:.2f} | {score['recall']:.2f} | {score['f1']:.2f} | {score['images']:.0f} |"
        for label, score in hardest
    )
    return {
        "accuracy": outcome.accuracy,
        "macro_f1": outcome.macro_f1,
        "chance": outcome.chance,
        "train_images": outcome.train_images,
        "test_images": outcome.test_images,
        "hardest_classes": dg.MetadataValue.md(
            f"| label | precision | recall | F1 | images |\n|---|---|---|---|---|\n{rows}"
        ),
    }
