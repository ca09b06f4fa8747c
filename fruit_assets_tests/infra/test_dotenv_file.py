"""The .env file: our lines change, all others do not."""

import stat
import tempfile
from pathlib import Path

from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from fruit_assets.infra.dotenv_file import read_dotenv, remove_from_dotenv, update_dotenv

values = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=40)
other_lines = st.lists(
    st.sampled_from(["", "# a note", "OTHER=1", "export ANOTHER='x y'", 'THIRD="it\'s"', "  INDENTED=2"]), max_size=6
)


@given(before=other_lines, ours=values, after=other_lines)
def test_a_value_is_read_back_and_other_lines_stay_as_they_are(before: list[str], ours: str, after: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".env"
        path.write_text("\n".join([*before, "FRUIT=old", *after]) + "\n")
        update_dotenv(path, {"FRUIT": ours})
        assert dotenv_values(path, interpolate=False)["FRUIT"] == ours
        lines = path.read_text().splitlines()
        assert [line for line in lines if not line.startswith("FRUIT=")] == [*before, *after]
        assert lines[len(before)].startswith("FRUIT=")
        assert update_dotenv(path, {"FRUIT": ours}) == []


def test_a_name_that_is_set_twice_is_set_once_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("export FRUIT=1\nOTHER=2\nFRUIT=3\n")
    assert update_dotenv(path, {"FRUIT": "4"}) == ["FRUIT"]
    assert path.read_text() == "FRUIT=4\nOTHER=2\n"


def test_a_new_file_is_for_its_owner_only_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("A=1\n")
    old.chmod(0o640)
    for path in (new, old):
        update_dotenv(path, {"FRUIT": "apple"})
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o600, 0o640]


def test_removing_takes_only_what_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# note\nFRUIT=1\nFRUITS=2\n")
    assert remove_from_dotenv(path, ["FRUIT", "ABSENT"]) == ["FRUIT"]
    assert path.read_text() == "# note\nFRUITS=2\n"
    assert read_dotenv(tmp_path / "none") == {}
