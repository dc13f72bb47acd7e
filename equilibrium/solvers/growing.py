"""A mixed-integer linear programme in HiGHS that grows: columns and rows are added between solves."""

from __future__ import annotations

import highspy
import numpy as np

from .outcome import Termination

_ENDED = {
    highspy.HighsModelStatus.kInfeasible: Termination.INFEASIBLE,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: Termination.INFEASIBLE,
}


class Growing:
    """minimise c'x subject to rows and bounds, some columns whole; tolerances of 1e-9, gap closed."""

    def __init__(self) -> None:
        self.model = highspy.Highs()
        self.model.silent()
        for name, value in (("mip_rel_gap", 1e-9), ("mip_abs_gap", 0.0), ("mip_feasibility_tolerance", 1e-9)):
            self.model.setOptionValue(name, value)
        self.model.setOptionValue("primal_feasibility_tolerance", 1e-9)
        self.model.setOptionValue("dual_feasibility_tolerance", 1e-9)
        self.whole = False

    def column(self, cost: float, low: float, up: float, whole: bool = False) -> int:
        """Add a column; returns its number."""
        k = self.model.getNumCol()
        self.model.addCol(float(cost), float(low), float(up), 0, [], [])
        if whole:
            self.whole = True
            self.model.changeColIntegrality(k, highspy.HighsVarType.kInteger)
        return k

    def row(self, low: float, up: float, index: np.ndarray, value: np.ndarray) -> None:
        """Add low <= sum of value times x[index] <= up."""
        columns, values = np.asarray(index, dtype=np.int32), np.asarray(value, dtype=float)
        self.model.addRow(float(low), float(up), len(columns), columns, values)

    def solve(self, seconds: float) -> tuple[np.ndarray | None, float, Termination]:
        """(x or None, proved lower bound of the cost, why it ended) within ``seconds``."""
        self.model.setOptionValue("time_limit", float(seconds))
        self.model.run()
        status = self.model.getModelStatus()
        solution, info = self.model.getSolution(), self.model.getInfo()
        if status in _ENDED or not solution.value_valid:
            return None, -np.inf, _ENDED.get(status, Termination.FAILED)
        bound = info.mip_dual_bound if self.whole else info.objective_function_value
        ended = status == highspy.HighsModelStatus.kOptimal
        if not self.whole and not ended:
            bound = -np.inf  # a linear programme that was cut off proves nothing
        return np.array(solution.col_value), float(bound), Termination.SOLVED if ended else Termination.LIMIT
