"""The documentation: its code runs, its links lead somewhere, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_code_runs_from_top_to_bottom(page, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    names = {"__name__": "documentation"}
    for code in blocks(page):
        exec(compile(code, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_name_options_and_cases_that_exist(page):
    text = page.read_text(encoding="utf-8")
    described = subprocess.run(
        [sys.executable, "solve.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for command in re.findall(r"python solve\.py ([^`\n]*)", text):
        for option in re.findall(r"--[a-z][a-z-]+", command):
            assert option in described, f"{page.name} names {option}"
        for case in re.findall(r"data/\w+/\w+", command):
            assert (ROOT / case / "case.toml").exists(), f"{page.name} names {case}"


def test_the_readme_fits_two_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90
