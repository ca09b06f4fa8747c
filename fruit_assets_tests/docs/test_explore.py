"""docs/explore.ipynb, executed against assets that a run published."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from fruit_assets_tests.conftest import PublishedGraph

NOTEBOOK = Path(__file__).parents[2] / "docs" / "explore.ipynb"


@pytest.fixture(scope="module")
def executed(published: "PublishedGraph") -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRUIT_ASSETS_STORAGE", str(published.storage))
        patch.setenv("FRUIT_ASSETS_WEIGHTS", "random")
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
        return client.execute()


def test_it_shows_samples_variance_a_map_and_neighbours(executed: nbformat.NotebookNode) -> None:
    pictures = [
        output for cell in executed.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    # One sheet of samples, the curve, the map, three sheets of neighbours.
    assert len(pictures) == 6


def test_it_says_how_many_images_there_are_and_how_alike_neighbours_are(
    executed: nbformat.NotebookNode, published: "PublishedGraph"
) -> None:
    output = "".join(
        output.data.get("text/plain", "")
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    )
    rows = published.metadata("sampled_images")["dagster/row_count"]
    assert f"{rows} images of" in output
    found = re.search(r"([\d.]+)% of (\d+) images, by chance ([\d.]+)%", output)
    assert found is not None
    assert int(found[2]) == published.metadata("pca_components")["dagster/row_count"]
    assert float(found[1]) > float(found[3])


def test_it_is_kept_without_outputs() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)
