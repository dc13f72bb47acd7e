"""Who imports whom, and what the files that are handed on may mention."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCIENCE = {"pyomo", "pandas", "numpy", "scipy", "matplotlib"}


def imports(path: Path) -> list[str]:
    """Absolute names of what a file imports, relative imports resolved."""
    found = []
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            stem = base + (node.module or "")
            found.extend([stem] if node.module else [stem + alias.name for alias in node.names])
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def market(path: Path) -> str:
    return path.relative_to(ROOT / "models").with_suffix("").parts[0]


def test_markets_import_only_the_machinery_and_science():
    allowed = SCIENCE | {"equilibrium"} | set(sys.stdlib_module_names)
    for path in files("models"):
        for name in imports(path):
            own = name.split(".")[:2] == ["models", market(path)]
            assert own or name.split(".")[0] in allowed, f"{path.name} imports {name}"


def test_markets_do_not_import_each_other():
    for path in files("models"):
        for name in imports(path):
            if name.split(".")[0] == "models":
                assert name.split(".")[1] == market(path), f"{path.name} imports {name}"


def test_the_machinery_imports_no_market():
    """The catalogue finds markets by the files' names, at run time."""
    for path in files("equilibrium"):
        assert not [name for name in imports(path) if name.split(".")[0] == "models"], path.name


def test_solvers_are_called_in_one_place():
    for path in files("equilibrium"):
        for name in imports(path):
            if name.split(".")[0] in ("highspy", "cyipopt", "clarabel"):
                assert path.parent.name == "solvers" or path.stem == "doctor", f"{path.name} imports {name}"


@pytest.mark.parametrize("call", ["eval", "exec", "compile", "__import__"])
def test_data_makes_no_code_run(call):
    for path in (*files("equilibrium"), *files("models")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != call, f"{path.name} calls {call}"
        assert not {"pickle", "marshal", "shelve"} & {name.split(".")[0] for name in imports(path)}, path.name


def test_only_the_catalogue_imports_by_name():
    for path in (*files("equilibrium"), *files("models")):
        text = path.read_text(encoding="utf-8")
        if "import_module(" in text:
            assert path.stem in ("catalogue", "__init__", "doctor"), path.name


def test_tracked_files_mention_nothing_outside_the_project():
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    forbidden = ("../" + "shared", "/work" + "/", "/home" + "/")
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".png", ".svg", ".lock") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for word in forbidden:
            assert word not in text, f"{name} mentions {word}"
