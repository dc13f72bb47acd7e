"""What this machine can solve: which solvers are there, which of them work, and how to get the others.

``python -m equilibrium.doctor`` prints it. Nothing is imported before it is asked for, so this module works whatever is
missing.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import Version

from .errors import SolverMissing

NONLINEAR_REMEDY = (
    "in a checkout on Linux, `make setup` compiles it and says what it lacks; "
    "elsewhere, the conda environment of environment.yml has it"
)
WITHOUT_NONLINEAR = "FLEXMARKETS_WITHOUT_NONLINEAR"  # set to 1: act as if cyipopt and the ASL library were not there
OLDEST_IPOPT = (3, 14)  # older ones end with other statuses and tolerances than those the solvers are written for

# Runs in a process of its own: a cyipopt built against one Ipopt and loaded with another dies without an exception.
_NONLINEAR_SOLVE = """
import pyomo.environ as pyo
m = pyo.ConcreteModel()
m.x = pyo.Var(initialize=1.0)
m.o = pyo.Objective(expr=(m.x - 3) ** 4 + pyo.exp(m.x))
pyo.SolverFactory("cyipopt").solve(m)
assert abs(m.x.value - 1.837643) < 1e-4, m.x.value
"""


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``remedy`` is empty where nothing is to be done."""

    name: str
    version: str
    status: Literal["ok", "missing", "broken"]
    needed_for: str
    remedy: str = ""


def have_nonlinear() -> bool:
    """Whether Ipopt and the derivatives it needs (cyipopt, PyNumero's ASL library) are there."""
    return not _hidden() and _nonlinear_found()


@functools.cache
def _nonlinear_found() -> bool:
    try:
        _cyipopt()
        _asl()
    except Exception:  # whatever keeps a compiled library from loading, the answer is no
        return False
    return True


def report() -> list[Check]:
    """Look at everything, in the order a newcomer should mend it. Never raises; takes a few seconds."""
    everything, nonlinear = "everything", "nonlinear markets"
    return [
        _check("machine", _machine, "speed and size of what can be solved", ""),
        _check("Python", _python, everything, "install Python 3.11 or newer"),
        _check("Pyomo", _pyomo, everything, "pip install 'pyomo>=6.10.1'"),
        _check("HiGHS", _highs, everything, "pip install 'highspy>=1.15'"),
        _check("Ipopt (cyipopt)", _cyipopt, nonlinear, NONLINEAR_REMEDY),
        _check("ASL library (PyNumero)", _asl, nonlinear, NONLINEAR_REMEDY),
        _check("nonlinear solve", _nonlinear_solve, nonlinear, NONLINEAR_REMEDY),
        _check("Clarabel", _clarabel, "models of more than 1,500 rows in good time", "pip install 'clarabel>=0.11'"),
        _check("SCIP (pyscipopt)", _scip, "global optima of non-concave players (optional)", "pip install pyscipopt"),
    ]


def render(checks: Sequence[Check]) -> str:
    """Lay the checks out as a table, followed by what to do about those that are not ok."""
    rows = [("", "version", "status", "needed for"), *((c.name, c.version, c.status, c.needed_for) for c in checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    remedies = {c.remedy: c for c in checks if c.status != "ok" and c.remedy}  # each remedy once
    return "\n".join([*lines, *(f"{c.needed_for}: {remedy}" for remedy, c in remedies.items())])


def main(arguments: Sequence[str]) -> int:
    """Print the report; 0 if what everything needs works (with ``--nonlinear``, also what nonlinear markets need)."""
    checks = report()
    print(render(checks))
    needed = {"everything", "nonlinear markets"} if "--nonlinear" in arguments else {"everything"}
    return SolverMissing.code if any(c.status != "ok" and c.needed_for in needed for c in checks) else 0


def _check(name: str, look: Callable[[], str], needed_for: str, remedy: str) -> Check:
    """Call ``look``: it returns a version, raises ModuleNotFoundError for what is missing, anything else for broken."""
    try:
        return Check(name, look(), "ok", needed_for)
    except ModuleNotFoundError:
        return Check(name, "", "missing", needed_for, remedy)
    except Exception as error:  # among them ImportError: found, but a library it is linked to is gone
        return Check(name, _one_line(error), "broken", needed_for, remedy)


def _one_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:60]


def _hidden() -> bool:
    return os.environ.get(WITHOUT_NONLINEAR) == "1"


def _missing(what: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"{what} is not installed")


def _machine() -> str:
    # The cores this process may use, not those of the machine: a container or a queue may give fewer.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        memory = "unknown"
    return f"{cores} cores, {memory} memory"


def _python() -> str:
    if Version(platform.python_version()) < Version("3.11"):
        raise RuntimeError(f"{platform.python_version()} is too old")
    return platform.python_version()


def _pyomo() -> str:
    version = str(importlib.import_module("pyomo.version").version)
    if Version(version) < Version("6.10.1"):
        raise RuntimeError(f"{version} is too old")
    return version


def _highs() -> str:
    """Minimise (x - 3)^2, a quadratic problem as the potential formulation poses it."""
    highspy = importlib.import_module("highspy")
    np = importlib.import_module("numpy")
    solver = highspy.Highs()
    solver.silent()
    solver.addVar(-10.0, 10.0)
    solver.changeColCost(0, -6.0)
    hessian = highspy.HighsHessian()
    hessian.dim_ = 1
    hessian.format_ = highspy.HessianFormat.kTriangular
    hessian.start_, hessian.index_, hessian.value_ = np.array([0, 1]), np.array([0]), np.array([2.0])
    solver.passHessian(hessian)
    solver.run()
    x = solver.getSolution().col_value[0]
    if abs(x - 3.0) > 1e-5:  # its default regularisation alone moves x by 1.5e-7
        raise RuntimeError(f"{solver.version()} solves a quadratic problem wrongly: {x} instead of 3")
    return str(solver.version())


def _cyipopt() -> str:
    if _hidden():
        raise _missing("cyipopt")
    cyipopt = importlib.import_module("cyipopt")
    ipopt = ".".join(map(str, cyipopt.IPOPT_VERSION))
    if tuple(cyipopt.IPOPT_VERSION) < OLDEST_IPOPT:
        raise RuntimeError(f"Ipopt {ipopt} is older than {'.'.join(map(str, OLDEST_IPOPT))}")
    return f"{ipopt} ({cyipopt.__version__})"


def _asl() -> str:
    if _hidden():
        raise _missing("PyNumero's ASL library")
    interface = importlib.import_module("pyomo.contrib.pynumero.asl").AmplInterface
    if not interface.available():
        raise _missing("PyNumero's ASL library")
    ctypes = importlib.import_module("ctypes")
    return f"interface {ctypes.CDLL(interface.libname).EXTERNAL_AmplInterface_version()}"


def _nonlinear_solve() -> str:
    if not have_nonlinear():
        raise _missing("Ipopt or the ASL library")
    run = subprocess.run(
        [sys.executable, "-c", _NONLINEAR_SOLVE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    if run.returncode:
        raise RuntimeError(run.stderr.strip() or f"the process died with {run.returncode}")
    return ""


def _clarabel() -> str:
    importlib.import_module("clarabel")
    return importlib.metadata.version("clarabel")


def _scip() -> str:
    importlib.import_module("pyscipopt")
    return importlib.metadata.version("pyscipopt")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
