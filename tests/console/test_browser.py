"""The console in a real browser, on the demonstration's shop."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = pytest.mark.processes

CSV = "user_id,item_id,event\nana,book-1,purchase\n,book-2,view\nbea,book-2,view\n"
PAGES = {
    "sign-in": "sign-in",
    "overview": "overview",
    "training": "training/",
    "run": "training/{run}",
    "versions": "versions/",
    "compare": "versions/compare?before={before}&after={after}",
    "explorer": "explorer/",
    "user": "explorer/user?user_id=reader-0001&basket=austen-sense-and-sensibility",
    "item": "explorer/item?item_id=austen-pride-and-prejudice",
    "catalogue": "catalogue/?q=machado",
    "edit": "catalogue/item?item_id=austen-pride-and-prejudice",
    "import": "import/",
    "checked": "import/{checked}",
    "keys": "keys/",
    "settings": "settings/",
}
LOOKS = {
    "": {},
    "-dark": {"color_scheme": "dark"},
    "-phone": {"width": 390},
    "-pt": {"locale": "pt-BR"},
    "-pt-phone-dark": {"locale": "pt-BR", "width": 390, "color_scheme": "dark"},
}
# Every page as it is on a desk, and three of them in each look.
SCREENSHOTS = [(name, "") for name in PAGES] + [
    (name, look) for name in ("overview", "versions", "user") for look in LOOKS if look
]


@pytest.fixture(scope="session")
def named(site) -> dict[str, str]:
    """What paths name: a run that the gate rejected, two versions."""
    runs = site.api.get("/api/v1/training-runs").json()["training_runs"]
    versions = [row["version"] for row in site.api.get("/api/v1/model-versions").json()["model_versions"]]
    rejected = next((run["run_id"] for run in runs if run["status"] == "rejected"), runs[0]["run_id"])
    return {"run": rejected, "before": versions[1], "after": versions[0]}


@pytest.fixture(scope="session")
def checked(chromium, site, signed_in, tmp_path_factory) -> str:
    """A file with one bad row, uploaded and checked; its import's id."""
    file = tmp_path_factory.mktemp("upload") / "orders.csv"
    file.write_text(CSV)
    context = chromium.new_context(storage_state=signed_in, base_url=site.url)
    page = context.new_page()
    page.goto("/console/import/")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Check").click()
    page.get_by_text("Nothing is stored yet").wait_for()
    import_id = page.url.rpartition("/")[2]
    context.close()
    return import_id


@pytest.fixture
def path_of(named, checked):
    return lambda name: PAGES[name].format(**named, checked=checked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_hard_to_use_with_assistive_technology(open_page, path_of, scheme):
    page = open_page("overview", color_scheme=scheme)
    hard = []
    for name in PAGES:
        page.goto(f"/console/{path_of(name)}")
        assert page.locator("html").get_attribute("data-bs-theme") == scheme
        hard += [
            (name, violation["id"], violation["nodes"][0]["html"], violation["nodes"][0]["failureSummary"])
            for violation in Axe().run(page).response["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
    assert hard == []


def test_no_page_is_wider_than_a_phone(open_page, path_of):
    page = open_page("overview", width=360)
    widths = {}
    for name in PAGES:
        page.goto(f"/console/{path_of(name)}")
        widths[name] = page.evaluate("document.documentElement.scrollWidth")

    assert {name: width for name, width in widths.items() if width > 360} == {}


def test_nothing_is_asked_of_another_host(open_page, site):
    page = open_page("overview")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_load_state("networkidle")

    assert len(asked) >= 4
    assert [url for url in asked if not url.startswith(site.url)] == []


def test_a_training_is_started_and_its_progress_seen(open_page):
    page = open_page("training/")
    page.get_by_label("Reason").fill("Seen by a test")
    page.get_by_label("Force").check()
    page.get_by_role("button", name="Start training").click()

    page.wait_for_url(re.compile("training/[0-9a-f]{32}$"))
    page.locator("progress[value]").first.wait_for(timeout=60_000)
    page.get_by_text("It made version").wait_for(timeout=120_000)
    expect(page.get_by_role("heading", name="Stages")).to_be_visible()


def test_a_version_is_activated_and_taken_back(open_page, site):
    page = open_page("versions/")
    page.on("dialog", lambda dialog: dialog.accept())
    active = page.locator("tr.is-active .version").get_attribute("title")
    page.get_by_role("button", name="Activate").first.click()
    page.get_by_role("status").filter(has_text="within seconds").wait_for()

    assert page.locator("tr.is-active .version").get_attribute("title") != active
    page.get_by_role("button", name=f"Activate {active}").click()
    page.locator(f"tr.is-active .version[title='{active}']").wait_for()


def test_what_is_not_confirmed_is_not_done(open_page):
    page = open_page("keys/")
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Revoke newsletter").click()
    page.reload()

    expect(page.get_by_role("button", name="Revoke newsletter")).to_be_visible()


def test_an_item_put_into_the_basket_changes_the_list_without_a_reload(open_page):
    page = open_page("explorer/user?user_id=somebody-new")
    page.evaluate("window.isSamePage = true")
    titles = page.locator("ol.ranked .what > a")
    before = titles.all_inner_texts()
    page.get_by_role("link", name="Put in basket").first.click()
    page.get_by_role("link", name=f"Take out {before[0]}").wait_for()

    after = titles.all_inner_texts()
    assert page.evaluate("window.isSamePage")
    assert before[0] not in after
    assert set(after) - set(before)
    expect(page.get_by_text("because of").first).to_be_visible()
    expect(page.locator("#spoken")).to_have_text("The list was computed anew.")

    page.get_by_role("link", name="Take out").click()
    page.get_by_text("Nothing is saved").wait_for()
    assert titles.all_inner_texts() == before


def test_an_item_is_searched_hidden_and_edited(open_page, site):
    page = open_page("catalogue/")
    page.get_by_label("Title or id").fill("SENSE AND")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name="Hide Sense and Sensibility").click()
    page.get_by_text("It is on no list any more").wait_for()
    page.get_by_role("button", name="Show again Sense and Sensibility").click()
    page.get_by_role("link", name="Edit Sense and Sensibility").click()
    page.get_by_label("Group").fill("sense")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved").wait_for()

    item = site.api.get("/api/v1/items/austen-sense-and-sensibility").json()
    assert (item["group"], item["hidden"], item["features"]["author"]) == ("sense", False, ["Jane Austen"])


def test_a_file_is_checked_and_then_stored(open_page, site, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(CSV)
    page = open_page("import/")
    page.get_by_label("CSV or JSON Lines").set_input_files(file)
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Store 2 rows").wait_for(timeout=30_000)
    expect(page.get_by_role("cell", name="user_id is missing")).to_be_visible()
    assert httpx.get(f"{site.url}/api/v1/users/bea", headers=site.api.headers).status_code == 404

    page.get_by_role("button", name="Store 2 rows").click()
    page.get_by_role("link", name="Train", exact=True).and_(page.locator(".btn")).wait_for(timeout=30_000)
    assert site.api.get("/api/v1/users/bea").json()["user_id"] == "bea"


def test_a_key_is_made_copied_and_revoked(open_page, site):
    page = open_page("keys/", permissions=["clipboard-read", "clipboard-write"])
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("What it is for").fill("a partner")
    page.get_by_label("What it may do").select_option("read")
    page.get_by_role("button", name="Make").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="Revoke a partner").click()
    page.get_by_text("The key is revoked").wait_for()
    assert secret not in page.content()


def test_the_language_and_the_theme_are_chosen_and_stay(open_page):
    page = open_page("settings/")
    page.get_by_role("link", name="Português").click()
    page.get_by_role("heading", name="Configurações").wait_for()
    page.get_by_role("button", name="Claro / escuro").click()
    page.goto("/console/keys/")

    expect(page.get_by_role("heading", name="Chaves", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")


def test_pages_work_without_script(chromium, site, signed_in):
    context = chromium.new_context(storage_state=signed_in, base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/console/explorer/user?user_id=somebody-new")
    page.get_by_role("link", name="Put in basket").first.click()

    expect(page.get_by_role("link", name="Take out")).to_be_visible()
    context.close()


def test_one_can_come_in_look_at_a_user_and_leave_by_keyboard_alone(chromium, site):
    context = chromium.new_context(base_url=site.url)
    page = context.new_page()
    press, write = page.keyboard.press, page.keyboard.type

    def walk_to(text: str) -> None:
        for _ in range(60):
            press("Tab")
            focused = page.evaluate("document.activeElement.innerText || document.activeElement.name")
            if focused.strip().startswith(text):
                assert page.evaluate("document.activeElement.matches(':focus-visible')")
                return
        raise AssertionError(f"the keyboard does not reach {text}")

    page.goto("/console/")
    # The browser puts the cursor there in its own time after loading; keys before that go nowhere.
    page.locator("#key:focus").wait_for()
    write("admin-key-of-a-test")
    press("Enter")
    page.wait_for_url("**/overview")
    press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    walk_to("Explorer")
    press("Enter")
    page.wait_for_url("**/explorer/")
    walk_to("user_id")
    write("reader-0001")
    press("Enter")
    page.get_by_role("heading", name="reader-0001").wait_for()
    walk_to("Put in basket")
    press("Enter")
    page.get_by_role("link", name="Take out").wait_for()
    page.reload()
    walk_to("Sign out")
    press("Enter")
    page.get_by_text("You have signed out").wait_for()
    context.close()


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="make screenshots takes them")
@pytest.mark.parametrize(("name", "look"), SCREENSHOTS)
def test_screenshot(open_page, path_of, name, look):
    pictures = Path(os.environ["SCREENSHOTS"])
    pictures.mkdir(parents=True, exist_ok=True)
    page = open_page(path_of(name), **LOOKS[look])
    if name == "sign-in":
        page.context.clear_cookies()
        page.reload()
    if name == "settings":
        page.get_by_text("RECSVC_ADMIN_KEY").first.scroll_into_view_if_needed()
    page.screenshot(path=pictures / f"{name}{look}.png", full_page=look == "-phone" and name != "settings")
