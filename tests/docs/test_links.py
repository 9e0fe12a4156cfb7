"""Every link leads somewhere, and nothing is fetched from another host to show a page."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
_slug = slugify(case="lower")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.M)
    return {_slug(title.replace("`", ""), "-") for title in titles}


def test_every_relative_link_of_the_written_pages_leads_to_a_file_and_a_heading(pages):
    found, broken = 0, []
    for name, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if re.match(r"[a-z]+:", target):
                continue
            found += 1
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
                broken.append((name, target))
    assert broken == []
    assert found > 100


def test_the_documents_build_strictly(site):
    assert (site / "index.html").is_file()
    assert (site / "search" / "search_index.json").is_file()


@pytest.mark.parametrize("link", ["nowhere.md", "training.md#nowhere"])
def test_a_link_that_leads_nowhere_fails_the_build(build, tmp_path, link):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a") as file:
        file.write(f"\n[a link]({link})\n")

    ended = build(tmp_path, tmp_path / "site")

    assert ended.returncode != 0
    assert "nowhere" in ended.stdout + ended.stderr


def test_make_builds_them_as_the_tests_do():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert "python -m mkdocs build --strict\n" in makefile


class Fetched(HTMLParser):
    """Addresses that a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev", "edit"}:
            self.addresses.append(given.get("href") or "")
        elif tag != "a":
            self.addresses.append(given.get("src") or "")


def test_no_page_fetches_anything_from_another_host(site):
    elsewhere = []
    for page in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        elsewhere += [(page.name, url) for url in parser.addresses if re.match(r"(https?:)?//", url)]
    for sheet in site.rglob("*.css"):
        loaded = re.findall(r"url\(['\"]?((?:https?:)?//[^)]+)", sheet.read_text(encoding="utf-8"))
        elsewhere += [(sheet.name, url) for url in loaded]
    assert elsewhere == []


def test_every_page_is_in_the_navigation_or_another_page_leads_to_it(pages):
    class Loader(yaml.SafeLoader):
        """Passes over what only MkDocs can make."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    navigation = str(yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"])
    linked = {
        ((ROOT / name).parent / target.partition("#")[0]).resolve()
        for name, text in pages.items()
        for target in re.findall(r"\]\(([^)\s:]+)\)", text)
    }
    written = [name for name in pages if name.startswith("docs/")]
    missing = [
        name
        for name in written
        if name.removeprefix("docs/") not in navigation and (ROOT / name).resolve() not in linked
    ]
    assert missing == []
    assert len(written) > 30
    named = re.findall(r"'([^']+\.md)'", navigation)
    assert sorted(named) == sorted(set(named))
