"""A day in Dagit: materialise all, read what a failure advises, look at every asset, switch, terminate."""

import re
import shutil
from io import BytesIO

import pytest
from deltalake import DeltaTable
from PIL import Image
from playwright.sync_api import Page, expect

from fruit_assets.demo.collection import render_collection
from fruit_assets_tests.browser.conftest import launched_by_a_click, launched_run, wait_for_run

pytestmark = pytest.mark.long(180)

# asset -> rows shown as a tile (None: an artifact), number of checks, a picture on its page
ASSETS = {
    "sampled_images": ("all", 2, "sample"),
    "feature_extractor": (None, 1, None),
    "image_features": ("all", 4, "images"),
    "rejected_images": ("none", 0, None),
    "pca_model": (None, 4, "explained_variance"),
    "pca_components": ("all", 3, "map"),
    "fruit_recognition": (None, 1, "confusion"),
}


def test_a_failed_run_says_what_to_do_next(page, failed_run, shoot):
    page.goto(failed_run)
    page.get_by_text(re.compile("RUN_FAILURE")).first.wait_for()
    advice = re.compile(r"Lower n_components of pca_model to \d+ or less, or raise .fraction. of sampled_images")
    expect(page.get_by_text(advice).last).to_be_visible()
    shoot(page, "failed_run")


def test_a_finished_run_shows_every_step_and_ends_with_a_line_for_each_asset(page, finished_run, shoot):
    page.goto(finished_run)
    expect(page.get_by_text("7 assets")).to_be_visible()
    for asset in ("sampled_images", "image_features", "pca_components"):
        expect(page.get_by_text(asset).first).to_be_visible()
    page.get_by_text("RUN_SUCCESS").first.wait_for()
    page.get_by_placeholder("Filter…").fill("Published")
    expect(page.get_by_text(re.compile(r"Published fruit_recognition: .*passed\."))).to_be_visible()
    shoot(page, "run")


@pytest.mark.parametrize("asset", ASSETS)
def test_an_asset_page_shows_its_rows_its_picture_and_its_checks(page, finished_run, shoot, collection, asset):
    rows, checks, picture = ASSETS[asset]
    page.set_viewport_size({"width": 1440, "height": 1500})
    page.goto(f"/assets/{asset}")
    if rows:
        count = collection.image_count if rows == "all" else 0
        expect(_tile(page, "Row count")).to_contain_text(str(count))
    if checks:
        expect(_tile(page, "Latest check results")).to_contain_text(str(checks))
    if picture:
        drawn = page.get_by_role("row").filter(has=page.get_by_text(picture, exact=True)).locator("img").first
        expect(drawn).to_be_visible()
        # A broken picture never has a width.
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=drawn.element_handle())
    expect(page.get_by_role("link", name=f"{_source(asset)} in editor")).to_be_visible()
    shoot(page, "asset" if asset == "image_features" else f"asset_{asset}")


def _tile(page: Page, title: str):
    return page.get_by_text(title, exact=True).first.locator("xpath=../..")


def _source(asset: str) -> str:
    return {"rejected_images": "image_features"}.get(asset, asset) + ".py"


def test_the_full_picture_is_one_click_away(page, finished_run, shoot):
    page.goto("/assets/sampled_images")
    page.get_by_role("row").filter(has=page.get_by_text("sample_full")).get_by_text("Show Markdown").click()
    sheet = page.get_by_role("dialog").locator("img").first
    expect(sheet).to_be_visible()
    page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=sheet.element_handle())
    shoot(page, "contact_sheet")


def test_computed_and_reused_are_plotted_over_time(page, finished_run, shoot):
    page.set_viewport_size({"width": 1440, "height": 2300})
    page.goto("/assets/image_features")
    button = page.get_by_role("button", name="Plots")
    button.click()
    for series in ("computed", "reused", "images_per_second"):
        expect(page.get_by_text(series, exact=True).first).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    top = button.bounding_box()
    assert top
    shoot(page, "plots", clip={"x": 240, "y": top["y"] - 12, "width": 820, "height": 1080})


def test_every_check_says_what_it_found(page, finished_run, shoot, collection):
    page.goto("/assets/image_features?view=checks&checkDetail=rows_reconcile")
    count = collection.image_count
    expect(page.get_by_text(f"{count} rows expected, {count} featurised + 0 rejected found.")).to_be_visible()
    expect(page.get_by_text("sampled = featurised + rejected: no image is lost.")).to_be_visible()
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    shoot(page, "checks")


def test_the_lineage_shows_the_whole_graph(page, finished_run, shoot):
    page.set_viewport_size({"width": 2300, "height": 800})
    page.goto("/asset-groups")
    page.get_by_text("Hide navigation").click()
    page.get_by_role("button", name="Materialize all").wait_for()
    page.keyboard.press("Alt+KeyE")  # expand all groups
    page.get_by_text("image_features").first.wait_for()
    page.reload()  # drawn anew, the graph fits the window
    for asset in ("raw_images", *ASSETS):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()
    expect(page.get_by_text("Materialized")).to_have_count(len(ASSETS))
    shoot(page, "lineage", clip={"x": 370, "y": 108, "width": 1870, "height": 670})


def test_the_sensor_switched_on_by_a_click_observes_a_new_image(page, finished_run, shoot, dagit, collection):
    page.goto("/automation")
    expect(page.get_by_text("watch_raw_images")).to_be_visible()
    shoot(page, "automation", clip={"x": 240, "y": 0, "width": 1200, "height": 560})
    label = next(path for path in sorted(dagit.images.rglob("*")) if path.suffix in (".jpg", ".png")).parent
    some = next(path for path in sorted(label.iterdir()) if path.suffix in (".jpg", ".png"))
    (label / f"new{some.suffix}").write_bytes(some.read_bytes())
    page.goto("/locations/fruit_assets/sensors/watch_raw_images")
    switch = page.get_by_role("row").filter(has=page.get_by_text("Running", exact=True)).locator("label")
    switch.click()
    expect(switch.get_by_role("checkbox")).to_be_checked()
    # The tick shows its cursor; pages of assets show a new observation when they are opened again.
    expect(page.get_by_text('"data_version"').first).to_be_visible()
    page.goto("/assets/raw_images")
    count = page.get_by_role("row").filter(has=page.get_by_text("images", exact=True))
    expect(count).to_contain_text(str(collection.image_count + 1))
    shoot(page, "asset_raw_images")


def test_a_run_terminated_by_a_click_ends_and_what_was_published_stays(page, finished_run, dagit):
    published = DeltaTable(dagit.storage / "pca_components").version()
    _add_large_copies(dagit.images, 150)  # a shorter run could end before the click
    page.goto("/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    launched_run(page)
    page.get_by_text("Started", exact=True).or_(page.get_by_text("STEP_START")).first.wait_for()
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Terminate")).click()
    expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
    assert DeltaTable(dagit.storage / "pca_components").version() == published
    for copy in dagit.images.rglob("copy-*"):
        copy.unlink()


def _add_large_copies(folder, count):
    """Images with bytes of their own that take half a second each to decode."""
    original = next(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    large = BytesIO()
    with Image.open(original) as image:
        image.convert("RGB").resize((8000, 8000)).save(large, "JPEG", quality=30)
    for number in range(count):
        path = original.with_name(f"copy-{number}.jpg")
        path.write_bytes(large.getvalue() + number.to_bytes(4, "big"))


@pytest.mark.parametrize(("classes", "per_class"), [(20, 3), (3, 1), (1, 2)])
def test_a_click_with_the_defaults_succeeds_on_any_collection_of_two_images_and_more(
    page, finished_run, dagit, tmp_path, classes, per_class
):
    shutil.rmtree(dagit.images)
    made = render_collection(tmp_path / "made", classes, per_class, 0)
    shutil.move(made.root, dagit.images)
    wait_for_run(page, dagit, launched_by_a_click(page), "Success")
    page.goto("/assets/pca_components")
    expect(_tile(page, "Row count")).to_contain_text(str(classes * per_class))
