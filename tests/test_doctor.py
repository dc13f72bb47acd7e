import subprocess
import sys
import types

import pytest

from equilibrium import doctor
from equilibrium.doctor import Check

NONLINEAR = ("Ipopt (cyipopt)", "ASL library (PyNumero)", "nonlinear solve")


@pytest.fixture(autouse=True)
def fresh_answer(monkeypatch):
    """The cached answer of one test is not that of the next, and only one test waits for a real nonlinear solve."""
    doctor._nonlinear_found.cache_clear()
    monkeypatch.delenv(doctor.WITHOUT_NONLINEAR, raising=False)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, "", ""))
    yield monkeypatch
    doctor._nonlinear_found.cache_clear()


def by_name() -> dict[str, Check]:
    return {check.name: check for check in doctor.report()}


def test_what_everything_needs_is_there():
    checks = by_name()
    for name in ("machine", "Python", "Pyomo", "HiGHS"):
        assert checks[name].status == "ok", checks[name]
        assert checks[name].version and not checks[name].remedy
    assert doctor.main([]) == 0


def test_nonlinear_parts_work_where_they_are_found(fresh_answer):
    fresh_answer.undo()
    if not doctor.have_nonlinear():
        pytest.skip("cyipopt or the ASL library is not installed")
    checks = by_name()
    assert [checks[name].status for name in NONLINEAR] == ["ok"] * 3


def test_nothing_missing_for_nonlinear_markets(monkeypatch):
    for look in ("_cyipopt", "_asl"):
        monkeypatch.setattr(doctor, look, lambda: "1")
    assert doctor.main(["--nonlinear"]) == 0


def test_simulated_absence_of_the_nonlinear_parts(monkeypatch, capsys):
    before = doctor.have_nonlinear()
    monkeypatch.setenv(doctor.WITHOUT_NONLINEAR, "1")
    assert not doctor.have_nonlinear()
    checks = by_name()
    for name in NONLINEAR:
        assert checks[name].status == "missing" and checks[name].remedy == doctor.NONLINEAR_REMEDY
    assert doctor.main([]) == 0  # everything that HiGHS solves still works
    assert doctor.main(["--nonlinear"]) == 3
    assert capsys.readouterr().out.count(doctor.NONLINEAR_REMEDY) == 2  # once in each of the two reports
    monkeypatch.delenv(doctor.WITHOUT_NONLINEAR)
    assert doctor.have_nonlinear() == before


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pyomo.version", "Pyomo"),
        ("highspy", "HiGHS"),
        ("cyipopt", "Ipopt (cyipopt)"),
        ("pyomo.contrib.pynumero.asl", "ASL library (PyNumero)"),
        ("clarabel", "Clarabel"),
        ("pyscipopt", "SCIP (pyscipopt)"),
    ],
)
def test_a_missing_module_is_named_with_its_remedy(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)  # what Python itself does to forbid an import
    check = by_name()[name]
    assert check.status == "missing" and check.remedy
    assert check.remedy in doctor.render([check])


def test_an_ipopt_that_is_too_old_is_broken(monkeypatch):
    old = types.SimpleNamespace(IPOPT_VERSION=(3, 11, 9), __version__="1.7.0")
    monkeypatch.setitem(sys.modules, "cyipopt", old)
    assert not doctor.have_nonlinear()
    check = by_name()["Ipopt (cyipopt)"]
    assert check.status == "broken" and "3.11.9" in check.version


def test_a_library_that_does_not_load_is_broken(monkeypatch):
    def fail(name):
        raise ImportError("libipopt.so.3: cannot open shared object file")

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    checks = by_name()
    assert checks["Ipopt (cyipopt)"].status == checks["HiGHS"].status == "broken"
    assert "libipopt" in checks["Ipopt (cyipopt)"].version


def test_a_solver_that_crashes_its_process_is_broken(monkeypatch):
    monkeypatch.setattr(doctor, "have_nonlinear", lambda: True)
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], -11, "", ""))
    check = by_name()["nonlinear solve"]
    assert check.status == "broken" and "-11" in check.version


def test_nothing_is_imported_with_the_module(fresh_answer):
    fresh_answer.undo()
    code = "import sys, equilibrium.doctor; print(*{'pyomo', 'highspy', 'numpy', 'cyipopt'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_the_table_lines_up():
    checks = [Check("a", "1", "ok", "x"), Check("longer name", "1.2.3", "missing", "y", "do this")]
    lines = doctor.render(checks).splitlines()
    assert lines[1].index("x") == lines[2].index("y")
    assert lines[-1] == "y: do this"
