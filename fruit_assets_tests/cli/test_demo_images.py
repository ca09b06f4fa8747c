"""Tests of `fruit-assets demo-images` as a person types it."""

from click.testing import CliRunner

from fruit_assets.cli import main


def test_demo_images_says_what_it_made_and_does_nothing_the_second_time(tmp_path):
    call = ["demo-images", "--classes", "2", "--per-class", "3", "--out", str(tmp_path / "demo"), "--workers", "1"]
    first, second = (CliRunner().invoke(main, call) for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert f"6 demo images of 2 classes in {tmp_path / 'demo'} (6 rendered now)." in first.output
    assert "all rendered before" in second.output
    assert len(list((tmp_path / "demo").rglob("*_100.jpg"))) == 6


def test_a_wrong_number_ends_with_one_line_and_an_exit_code(tmp_path):
    result = CliRunner().invoke(main, ["demo-images", "--classes", "500", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 1
    assert "Error: The demo images cannot be rendered: classes is 500: choose 1 to 131." in result.output
    assert not (tmp_path / "demo").exists()
