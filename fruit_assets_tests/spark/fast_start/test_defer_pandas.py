"""Tests of Arrow without pandas: nobody imports it for nothing, and whoever does finds all as ever."""

import json
import subprocess
import sys

import pytest

_ALONE = "import sys, pyarrow as pa; from fruit_assets.spark.fast_start.defer_pandas import leave_pandas_alone; "

# A run's driver and workers, and then somebody's pandas in the same workers.
_SPARK = """
import json, sys
from pathlib import Path
import pyarrow as pa
from fruit_assets.spark.fast_start.background_spark import EarlyStart
from fruit_assets.spark.session import LocalSparkOptions
from fruit_assets.spark.tasks import gathered, run_tasks

def seen(part):
    yield pa.RecordBatch.from_pydict({"pandas": ["pandas" in sys.modules], "numbers": [[part]]})

context = EarlyStart(LocalSparkOptions(Path(sys.argv[1]), "local[2]", driver_memory="512m")).context()
told = gathered(run_tasks(context, [1, 2], seen))
found = told["pandas"].to_pylist(), "pandas" in sys.modules, sys.modules["pyspark.testing.utils"].have_pandas

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf

@pandas_udf("double")
def halves(numbers: pd.Series) -> pd.Series:
    # A Series knows NaN as nothing, a list does not.
    assert pa.array(pd.Series([1.0, float("nan")])).null_count == 1
    return numbers / 2

assert pa.array(pd.Series([1.0, float("nan")])).null_count == 1
frame = SparkSession.builder.getOrCreate().range(3)
print(json.dumps([*found, [row[0] for row in frame.select(halves("id")).collect()]]))
"""


def _printed(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_arrow_imports_pandas_when_nothing_is_done_about_it():
    assert _printed("import sys, pyarrow as pa; pa.array([1]); print('pandas' in sys.modules)") == "True"


@pytest.mark.parametrize(
    ("use", "known"),
    [
        ("pass", False),
        ("import pandas", True),
        ("import importlib.util; importlib.util.find_spec('pandas')", False),
        ("import importlib.util; importlib.util.find_spec('pandas'); import pandas", True),
        ("import pandas, importlib; importlib.reload(pandas)", True),
        ("pa.table({'a': [1]}).to_pandas()", True),
        ("pa.Table.from_pandas(__import__('pandas').DataFrame({'a': [1]}))", True),
    ],
)
def test_arrow_knows_pandas_as_soon_as_somebody_uses_it(use, known):
    code = (
        f"{_ALONE} leave_pandas_alone(); leave_pandas_alone(); pa.array([1]); before = 'pandas' in sys.modules; {use}; "
        "finders = sum(type(finder).__module__.endswith('arrow_alone') for finder in sys.meta_path); "
        "print(before, pa.lib._pandas_api.have_pandas, finders)"
    )
    # One finder, which stays: whoever is looking for a module meanwhile would miss another if it went away.
    assert _printed(code) == f"False {known} 1"


def test_a_series_becomes_the_same_array_whether_pandas_came_before_or_after():
    rest = "import pandas as pd; print(pa.array(pd.Series([1.0, float('nan')])).null_count)"
    assert _printed(f"{_ALONE} leave_pandas_alone(); {rest}") == "1"
    assert _printed(f"{_ALONE} import pandas; leave_pandas_alone(); {rest}") == "1"


def test_an_import_that_failed_once_is_no_matter_the_next_time():
    code = (
        f"{_ALONE} leave_pandas_alone(); sys.modules['pytz'] = sys.modules['numpy'] = None\n"
        "try:\n    import pandas\nexcept ImportError:\n    pass\n"
        "else:\n    raise SystemExit('pandas does without')\n"
        "del sys.modules['pytz'], sys.modules['numpy']; import pandas; print(pa.lib._pandas_api.have_pandas)"
    )
    assert _printed(code) == "True"


def test_whatever_goes_wrong_while_pandas_is_hidden_it_is_found_afterwards():
    code = (
        f"{_ALONE}\ndef interrupted(values):\n    raise KeyboardInterrupt\n"
        "array, pa.array = pa.array, interrupted\n"
        "try:\n    leave_pandas_alone()\nexcept KeyboardInterrupt:\n    pass\n"
        "pa.array = array; import pandas; print(pandas.__name__)"
    )
    assert _printed(code) == "pandas"


def test_two_threads_may_leave_it_alone_and_import_it_at_the_same_time():
    code = (
        f"{_ALONE}\nfrom threading import Barrier, Thread\nstart = Barrier(2); array = pa.array\n"
        # The other thread begins its import while this one hides pandas from itself.
        "def slow(values):\n    import time; start.wait(); time.sleep(0.1); return array(values)\n"
        "def importing():\n    start.wait(); import pandas\n"
        "pa.array = slow; other = Thread(target=importing); other.start(); leave_pandas_alone(); other.join()\n"
        "print(pa.lib._pandas_api.have_pandas)"
    )
    assert _printed(code) == "True"


def test_without_pandas_installed_nothing_changes():
    # What is None here cannot be found.
    hidden = "import importlib.machinery as m; find = m.PathFinder.find_spec; m.PathFinder.find_spec = classmethod("
    hidden += "lambda cls, name, *rest: None if name == 'pandas' else find(name, *rest)); "
    code = (
        f"{_ALONE} {hidden} leave_pandas_alone(); pa.array([1])\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    assert _printed(code) == "No module named 'pandas'"


def test_neither_driver_nor_workers_import_pandas_and_pandas_functions_work_in_the_same_workers(tmp_path):
    workers, driver, have_pandas, halves = json.loads(_printed(_SPARK, str(tmp_path)))
    assert (workers, driver, have_pandas) == ([False, False], False, True)
    assert halves == [0.0, 0.5, 1.0]
