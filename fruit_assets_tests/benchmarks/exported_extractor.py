"""An extractor for a contender that has no asset graph.

Put here getting one exported by the project, once per benchmark.
"""

from pathlib import Path

MODEL_FILE = "extractor.xml"


def export_extractor(weights: str, input_size: int, folder: Path) -> Path:
    """Export the extractor into `folder`; returns the OpenVINO model's path."""
    from fruit_assets.pipeline.extractor import ExtractorSpec
    from fruit_assets.pipeline.extractor_export import Export
    from fruit_assets.pipeline.weights import resolve_weights

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in Export(ExtractorSpec(resolve_weights(weights), input_size)).files().items():
        (folder / name).write_bytes(content)
    return folder / MODEL_FILE
