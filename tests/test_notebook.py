"""The notebook runs from top to bottom, and what it shows is there."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "heart_to_maps.ipynb"


@pytest.mark.slow
# Jupyter's client leaves sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_notebook_runs_and_its_model_beats_the_mean(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 5
    printed = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    errors = dict(re.findall(r"^(\w+) +MAE +([\d.]+) ms", printed, re.MULTILINE))
    assert float(errors["model"]) < 0.7 * float(errors["mean"])
    assert not [o for o in outputs if o.output_type == "error"]
    assert (tmp_path / "mlruns" / "mlflow.db").exists()
