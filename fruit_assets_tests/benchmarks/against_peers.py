"""The whole job against its peers at equal precision: programs that a user would write today, and the notebook.

Put here sizes, order and options. The contenders are in `peers/contenders.py`, the tables in `peers/table.py`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from fruit_assets_tests.benchmarks.cold_process import PROJECT, PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.exported_extractor import export_extractor
from fruit_assets_tests.benchmarks.image_set import Source, make_image_set
from fruit_assets_tests.benchmarks.machine import this_machine
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.peers import agreement, onnx_model, table
from fruit_assets_tests.benchmarks.peers.agreement import Reference
from fruit_assets_tests.benchmarks.peers.contenders import (
    NOTEBOOK,
    Course,
    Extractors,
    Failed,
    Outcome,
    contenders,
    program_of,
)
from fruit_assets_tests.benchmarks.plain_inference import SIDE
from fruit_assets_tests.benchmarks.report import Report
from fruit_assets_tests.benchmarks.rounds import alternate

Run = TypeVar("Run")

PEERS_PYTHON = PROJECT / ".venv-peers" / "bin" / "python"
FULL: list[list[str]] = [["--images", "1000", "5000", "50000", "--repeats", "3", "1", "1"]]
_COMPARED = 256
_PACKAGES = ("ray", "daft", "duckdb", "onnxruntime")
_VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", nargs="+", type=int, default=[1000, 5000, 50000], help="sizes (%(default)s)")
    made.add_argument(
        "--repeats", nargs="+", type=int, default=[1], help="rounds at each size, the last for all further ones"
    )
    made.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS), help="of ours (%(default)s)"
    )
    made.add_argument(
        "--peer-precisions",
        nargs="+",
        choices=PRECISIONS,
        help="of the peers (default: ours)",
    )
    made.add_argument(
        "--most",
        nargs="+",
        type=limit,
        metavar="NAME=IMAGES",
        default=[limit(f"{NOTEBOOK}=5000")],
        help="programs or contenders to leave out of larger sizes, such as notebook=5000 or ours-export-int8=0",
    )
    made.add_argument("--peers-python", type=Path, default=PEERS_PYTHON, help="interpreter that has the peers")
    add_source(made)
    return made


def limit(text: str) -> tuple[str, int]:
    """`name=images` as an option of the command line."""
    name, separator, images = text.rpartition("=")
    if not separator or not images.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=IMAGES")
    return name, int(images)


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    given = made.parse_args(arguments)
    given.peer_precisions = given.peer_precisions or given.precisions
    if not given.peers_python.is_file():
        made.error(f"no {given.peers_python}: `make bench-peers` installs it, or name one with --peers-python")
    peers = _versions(given.peers_python)
    report = Report("against_peers", {key: str(value) for key, value in vars(given).items()})
    outcomes: dict[int, dict[str, list[Outcome]]] = {}
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        model = _exported(origin, scratch / "extractor", given.peers_python, int8="int8" in given.peer_precisions)
        extractors = Extractors(origin, scratch / "ours")
        for number, size in enumerate(given.images):
            rounds = given.repeats[min(number, len(given.repeats) - 1)]
            print(f"{size:,} images", flush=True)
            every = contenders(
                _course(size, origin, model, given.peers_python, scratch),
                extractors,
                given.peer_precisions,
                given.precisions,
            )
            outcomes[size] = alternate(within(dict(given.most), size, every), rounds)
            _add_failures(outcomes[size])
            report.table(f"The whole job on {size:,} images, cold", table.columns(), table.rows(size, outcomes[size]))
            shutil.rmtree(scratch / "images")
            # Hours of measuring are not lost with whatever stops the next size.
            report.detail("outcomes", table.details(outcomes))
            report.save()
    _add_tables(report, outcomes, peers)
    report.save()
    return 0


def _course(size: int, origin: Source, model: Path, peers_python: Path, scratch: Path) -> Course:
    images = make_image_set(origin, size, scratch / "images")
    file = scratch / "reference" / f"{size}.npz"
    command = [PYTHON, "-m", agreement.__name__, str(images), origin.weights, str(_COMPARED), str(file)]
    run_cold(command, file.parent, environment())
    return Course(images, size, origin, model, Reference.read(images, file), peers_python, scratch / "ours")


def _exported(origin: Source, folder: Path, peers_python: Path, *, int8: bool) -> Path:
    """The exported extractor, with the same network as ONNX beside it."""
    import numpy as np

    from fruit_assets.extractor.calibration import calibration_pixels, resolve_calibration

    model = export_extractor(origin.weights, SIDE, folder, int8=int8)
    command = [str(peers_python), "-m", onnx_model.__name__, str(model)]
    if int8:
        np.save(folder / "calibration.npy", calibration_pixels(resolve_calibration(None), SIDE))
        command += ["--calibration", str(folder / "calibration.npy")]
    run_cold(command, folder, environment(), name="onnx")
    return model


def _add_tables(report: Report, outcomes: table.Outcomes, peers: Mapping[str, str]) -> None:
    below = table.below_the_table(this_machine(), peers, min(_COMPARED, max(outcomes)))
    print(f"{below}\n", flush=True)
    report.detail("below the tables", below)
    report.ratios("How many times faster than the fastest peer at the same precision", table.ratios(outcomes))


def within(most: Mapping[str, int], size: int, every: Mapping[str, Run]) -> dict[str, Run]:
    """The contenders that take part at a size."""
    programs = {program_of(name): None for name in every}
    if unknown := set(most) - set(every) - set(programs):
        raise SystemExit(
            f"--most: no contender is called {', '.join(sorted(unknown))}; there are "
            f"{', '.join(every)}, and the programs {', '.join(programs)}"
        )
    return {
        name: run for name, run in every.items() if size <= min(most.get(name, size), most.get(program_of(name), size))
    }


def _versions(python: Path) -> dict[str, str]:
    output = subprocess.run(
        [str(python), "-c", _VERSIONS, *_PACKAGES], capture_output=True, text=True, check=True
    ).stdout
    return dict(json.loads(output))


def _add_failures(outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    for name, runs in outcomes.items():
        for run in runs:
            if isinstance(run, Failed):
                print(f"  {name} failed: {run.reason[-600:]}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
