"""The command's surroundings: `.env`, working folder, closed and narrow outputs, files that cannot be used."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from fruit_assets.analysis.similarity import Neighbour
from fruit_assets.cli import COMMANDS, main
from fruit_assets.cli.similar import _show
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import stage_table

_SCRIPT = str(Path(sys.executable).parent / "fruit-assets")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and variables of the test's own."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", ["summary", "similar", "doctor", "deploy", "destroy"])
def test_aws_variables_of_the_dotenv_file_reach_every_command(
    s3_environment: str, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.session import Session

    arguments = {"similar": [str(tmp_path / "x.jpg")], "deploy": ["--yes"], "destroy": ["--yes"]}
    (tmp_path / "x.jpg").write_bytes(b"x")
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        del os.environ[name]
    # Nothing answers there: the message of a refused connection names the address that was asked.
    lines = ["AWS_ENDPOINT_URL=http://127.0.0.1:9", "AWS_DEFAULT_REGION=eu-west-3", "FRUIT_ASSETS_STORAGE=s3://fruit/x"]
    (tmp_path / ".env").write_text("\n".join(lines))
    asked = []

    def note(self, *args, **kwargs):
        asked.append((os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_DEFAULT_REGION")))
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "create_client", note)
    run(command, *arguments.get(command, []))
    assert asked[:1] == [("http://127.0.0.1:9", "eu-west-3")]


@pytest.mark.parametrize("command", ["summary", "similar", "deploy", "destroy"])
def test_a_dotenv_file_that_is_not_utf_8_is_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / ".env").write_bytes("FRUIT_ASSETS_IMAGES=é\n".encode("latin-1"))
    (tmp_path / "x.jpg").write_bytes(b"x")
    result = run(command, *{"similar": [str(tmp_path / "x.jpg")]}.get(command, []))
    assert result.exit_code == 1
    assert ".env is not UTF-8 text (byte 0xe9 at 20)" in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(("encoding", "code", "message"), [("utf-8", 0, ""), ("latin-1", 2, "is not UTF-8 text")])
def test_make_names_a_dotenv_file_that_dagster_cannot_read(
    tmp_path: Path, encoding: str, code: int, message: str
) -> None:
    (tmp_path / ".env").write_bytes("FRUIT_ASSETS_IMAGES=é\n".encode(encoding))
    line = ["make", "-f", str(Path(__file__).parents[2] / "Makefile"), "dotenv"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, message in done.stdout) == (code, True), done.stderr


_EVERY_COMMAND = [
    "summary", "similar x.jpg", "doctor", "deploy --yes", "destroy --yes", "history", "register", "cluster status",
    "restore image_features --version 0",
]  # fmt: skip


@pytest.mark.parametrize("command", _EVERY_COMMAND)
@pytest.mark.parametrize(
    "line",
    [
        "AWS_ENDPOINT_URL=minio:9000",
        "AWS_DEFAULT_REGION='\"eu-west-1\"'",
        "AWS_PROFILE=nobody",
        "FRUIT_ASSETS_WEIGHTS=.",
        "",
    ],
    ids=["no scheme", "quotes", "no such profile", "a folder", "no region"],
)
def test_no_command_ends_with_a_traceback_whatever_is_wrong_with_the_settings(
    tmp_path: Path, command: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    (tmp_path / "x.jpg").write_bytes(b"x")
    (tmp_path / ".env").write_text(f"{line}\nAWS_EC2_METADATA_DISABLED=true\n")
    result = run(*command.split())
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    named = line.partition("=")[0] in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
    assert not named or line.partition("=")[0] in result.output


def test_summary_from_another_folder_says_where_it_looked(tmp_path: Path) -> None:
    result = run("summary")
    assert result.exit_code == 1
    assert f"{tmp_path}/data/assets" in result.output
    assert f"Settings come from the environment and {tmp_path}/.env (there is no such file)." in result.output
    (tmp_path / ".env").write_text("FRUIT_ASSETS_STORAGE=elsewhere\n")
    result = run("summary")
    assert f"{tmp_path}/elsewhere" in result.output
    assert f"Settings come from the environment and {tmp_path}/.env.\n" in result.output


@pytest.mark.parametrize("command", ["summary", "doctor", "cluster status"])
def test_a_deleted_working_folder_is_one_line_without_a_traceback(tmp_path: Path, command: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'cd "{gone}" && rmdir "{gone}" && exec "{_SCRIPT}" {command}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The working folder has been deleted" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = run("demo-images", "--classes", "1", "--per-class", "1", "--out", str(tmp_path / "file" / "images"))
    assert result.exit_code == 1
    assert "Not a directory" in result.output
    assert str(tmp_path / "file") in result.output
    assert isinstance(result.exception, SystemExit)


def test_every_command_explains_itself_beside_a_broken_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    for command in COMMANDS:
        assert run(command, "--help").exit_code == 0


def test_square_brackets_are_shown_and_no_line_is_wrapped_in_a_pipe(tmp_path: Path) -> None:
    place = tmp_path / "[bold]data[/] :apple:" / ("long" * 30)
    (tmp_path / ".env").write_text(f"FRUIT_ASSETS_STORAGE='{place}'\nFRUIT_ASSETS_WEIGHTS='{tmp_path}/[/w].h5'\n")
    result = run("doctor")
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    assert str(place) in result.output
    assert f"{tmp_path}/[/w].h5 is not a file" in result.output


def test_labels_and_paths_of_neighbours_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["[/]", "[bold]x[/bold]", ":apple:", "\\[x]", "end\\", "[link=http://x]y[/link]", "x" * 150]
    _show([Neighbour(f"{name}/1.jpg", name, 0.5) for name in odd])
    lines = capsys.readouterr().out.splitlines()
    for name in odd:
        assert any(f" {name} " in line and f" {name}/1.jpg " in line for line in lines), name


def test_history_shows_a_place_with_brackets_in_one_line_and_in_a_pipe_without_wrapping(tmp_path: Path) -> None:
    place = tmp_path / "[bold]data[/] :apple:" / ("long" * 30)
    table = Table(open_store(str(place / "image_features")))
    table.commit(stage_table(pa.table({"path": ["a"]}), VersionWriter(table, "run")).with_facts(data_version="[/]"))
    os.environ["FRUIT_ASSETS_STORAGE"] = str(place)
    result = run("history", "image_features")
    assert result.exit_code == 0, result.output
    assert f"image_features  {place}/image_features" in result.output
    assert "[/]" in result.output.splitlines()[-2]


@pytest.mark.parametrize("command", ["doctor", "history", "--help", "doctor --format json"])
def test_a_reader_that_goes_away_ends_a_command_without_a_traceback(tmp_path: Path, command: str) -> None:
    line = f'"{_SCRIPT}" {command} | true'
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_letters_that_a_terminal_does_not_have_are_shown_in_codes(tmp_path: Path) -> None:
    variables = {"PYTHONIOENCODING": "ascii", "FRUIT_ASSETS_STORAGE": str(tmp_path / "苹果")}
    done = subprocess.run([_SCRIPT, "doctor"], env={**os.environ, **variables}, capture_output=True, check=False)
    assert b"\\u82f9\\u679c" in done.stdout
    assert b"Traceback" not in done.stderr
