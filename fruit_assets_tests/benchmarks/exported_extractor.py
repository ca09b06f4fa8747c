"""An exported extractor for contenders without asset graph.

Put here the export by the project, once per benchmark.
"""

from pathlib import Path

MODEL_FILE = "extractor.xml"


def export_extractor(weights: str, input_size: int, folder: Path, *, int8: bool = False) -> Path:
    """Export the extractor into `folder`, with `int8` also its int8 model; returns the path of the first."""
    from fruit_assets.extractor.calibration import resolve_calibration
    from fruit_assets.extractor.export import Export
    from fruit_assets.extractor.quantization import Quantization
    from fruit_assets.extractor.specification import ExtractorSpec
    from fruit_assets.extractor.weights import resolve_weights

    folder.mkdir(parents=True, exist_ok=True)
    files = Export(ExtractorSpec(resolve_weights(weights), input_size)).files()
    if int8:
        files = Quantization(resolve_calibration(None), input_size).added_to(files)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / MODEL_FILE
