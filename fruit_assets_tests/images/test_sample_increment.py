"""Tests of what a new sample keeps, copies and fetches; no Spark and no image is needed."""

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_assets.images.sample_increment import KEYS, SampleIncrement, plan_sample
from fruit_assets.keys.key_table import KeyDatabase, KeyTable
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage.parquet_files import DataFile

# What a path had: its size, stamp and whether it could be read.
_TABLES = st.dictionaries(
    st.sampled_from([f"x/{letter}.jpg" for letter in "abcdefgh"]),
    st.tuples(st.integers(1, 2), st.sampled_from(["s", "t"]), st.booleans()),
    max_size=8,
)
_CHOSEN = ("path", "label", "size", "stamp")
_TYPES = {"size": pa.int64(), "row": pa.int64(), "file": pa.int32()}


def _table(rows: list[dict[str, object]], columns: tuple[str, ...]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns]))


def _plan(now: dict, before: dict, rows_per_file: int) -> SampleIncrement:
    database = KeyDatabase()
    chosen = [
        {"path": path, "label": "x", "size": size, "stamp": stamp} for path, (size, stamp, _) in sorted(now.items())
    ]
    held = [
        {"path": path, "label": "x", "size": size, "stamp": stamp, "sha256": "d" if read else None}
        for path, (size, stamp, read) in sorted(before.items())
    ]
    held = [{**row, "row": number, "file": number // rows_per_file} for number, row in enumerate(held)]
    rows = Counter(row["file"] for row in held)
    files = [DataFile(str(number), 1, rows[number]) for number in sorted(rows)]
    return plan_sample(
        KeyTable.of(_table(chosen, _CHOSEN), database),
        KeyTable.of(_table(held, (*KEYS, "file", "row")), database),
        files,
    )


@settings(max_examples=60, deadline=None)
@given(_TABLES, _TABLES, st.integers(1, 4))
def test_every_chosen_image_is_kept_copied_or_fetched_and_only_what_changed_is_fetched(now, before, rows_per_file):
    plan = _plan(now, before, rows_per_file)
    kept, copied, fetched = (table.to_table()["path"].to_pylist() for table in (plan.kept, plan.copied, plan.fetched))
    assert sorted([*kept, *copied, *fetched]) == sorted(now)
    same = {path for path in now if path in before and now[path][:2] == before[path][:2] and before[path][2]}
    assert set(kept) | set(copied) == same
    order = sorted(before)
    of_kept = [
        path for number, path in enumerate(order) if str(number // rows_per_file) in {f.path for f in plan.kept_files}
    ]
    assert sorted(kept) == of_kept
    assert [order[row] for row in plan.to_copy()["row"].to_pylist()] == copied


def test_keys_are_read_with_their_places_from_any_number_of_files(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    files = []
    for number, count in enumerate([3, 1, 20, 2]):
        rows = [{"path": f"{number}/{row}", "size": row, "content": b"x"} for row in range(count)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{number}.parquet", row_group_size=7)
        files.append(DataFile(f"{number}.parquet", 1, count))
    monkeypatch.setattr("fruit_assets.storage.parquet_files.FILES_AT_A_TIME", 2)
    keys = row_keys(LocalStore(tmp_path), files, ["path", "size"], KeyDatabase()).to_table()
    assert keys.column_names == ["path", "size", "file", "row"]
    assert keys["row"].to_pylist() == list(range(26))
    assert keys["file"].to_pylist() == [0] * 3 + [1] + [2] * 20 + [3] * 2
    assert keys["path"].to_pylist()[4:6] == ["2/0", "2/1"]
