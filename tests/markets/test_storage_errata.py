"""What the source prints, what holds, and the evidence: a test for each row of the errata on the market's page."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
from storage_tables import data_of

from equilibrium.case import Alternative, read_case
from equilibrium.data import change
from equilibrium.run import solve_one
from models.storage_investment import figures, market, study, theory

CASES = Path(__file__).parents[2] / "data" / "storage_investment"
SIZE, PROFIT = ("storage power", "owner=1"), ("storage profit", "owner=1")


def answer(data, structure):
    found = solve_one(market, data, Alternative(structure, structure, {}))
    assert found.solution.certificate.verdict == "certified", found.solution.certificate.scope
    return found


def case(name, cells=None):
    return change(read_case(CASES / f"textbook_{name}").data, cells or {})


def printed_gain(s):
    """S(N), which the source prints as W(k_Pi) - W(0)."""
    A, C, D, I, N = s.net, s.lost, s.D, s.I, s.N  # noqa: E741
    return A * (I * (1 - N**2) + 3 * D) / 2 - C * N * (I * (N + 1) * (N + 3) + D * (4 * N + 7)) / 2


def factor(s, k):
    return k / ((s.N + 1) ** 2 * (s.I * (s.N + 1) + 2 * s.D))


@pytest.mark.parametrize(
    ("data", "printed", "true"),
    [
        (data_of(10, 20, 1, 1, 1, 0, 1, 1, 1), 30, 25 / 12),
        (data_of(60, 110, 1, 1.2, 20, 0, 1.2, 0.5, 2), -66.42, -4.8163521027),
        (data_of(50, 100, 1, 1, 20, 0, 1, 0.2, 4), 75, 6),
    ],
)
def test_e1_the_welfare_change_lacks_a_factor(data, printed, true):
    s, one = theory.setting(data), answer(data, "merchant")
    assert printed_gain(s) == pytest.approx(printed, abs=1e-9)
    assert one.value("welfare change") == pytest.approx(true, abs=1e-8)
    assert one.value("welfare change") == pytest.approx(printed_gain(s) * factor(s, one.value(*SIZE)), abs=1e-8)


def test_e2_size_that_stands_idle_lowers_profit():
    """S2: with 20 GW no more is discharged than with the 14.48 GW that are used, and these earn more."""
    profits = []
    for k in (20.0, 64 / 4.42):
        data = case("s2", {"installed.power[installed]": k, "installed.energy[installed]": k})
        one = answer(data, "installed_merchant")
        assert one.value("discharged energy", "owner=1") == pytest.approx(64 / 4.42, abs=1e-8)
        profits.append(one.value(*PROFIT))
    assert profits[1] > profits[0] + 9


def test_e3_n_tilde_has_a_negative_twin_without_losses():
    s = theory.setting(case("s3"))
    root = sqrt(1 + 3 * s.D / s.I)
    assert printed_gain(replace(s, N=root)) == pytest.approx(0, abs=1e-9)
    assert printed_gain(replace(s, N=-root)) == pytest.approx(0, abs=1e-9)
    table = study.nearby(case("s3"), s).set_index("number")
    assert table.at["N-tilde", "equilibrium"] == pytest.approx(root, abs=1e-8)


def test_e4_from_n_zero_on_nothing_is_built_and_nothing_changes():
    data = case("s5")
    s, one = theory.setting(data), answer(data, "merchant")
    assert s.n_zero() < s.N
    assert printed_gain(s) * factor(s, s.merchant()) == pytest.approx(2.9988, abs=1e-4)  # the raw k_Pi is negative
    assert one.value(*SIZE) == pytest.approx(0, abs=1e-9)
    assert one.value("welfare change") == pytest.approx(0, abs=1e-9)


def test_e5_without_losses_costs_do_not_move_n_bar():
    for cost in (20.0, 30.0):
        data = case("s3", {f"firms.cost[firm {n}]": cost for n in range(1, 5)})
        table = study.nearby(data, theory.setting(data)).set_index("number")
        assert table.at["N-bar", "equilibrium"] == pytest.approx(2.70156212, abs=1e-8)


def test_e6_n_bar_may_lie_below_one_firm():
    data = data_of(60, 110, 1, 1.2, 20, 0, 1.2, 1.4, 1)
    table = study.nearby(data, theory.setting(data)).set_index("number")
    assert table.at["N-bar", "equilibrium"] == pytest.approx(0.6892, abs=1e-4)
    assert answer(data, "merchant").value(*SIZE) > answer(data, "welfare_owner").value(*SIZE)


def test_e7_welfare_is_concave_in_size():
    data = case("s1")
    s = theory.setting(data)
    w = [figures._fully_used(data, k)["welfare"] for k in (1.0, 2.0, 3.0)]
    assert w[0] - 2 * w[1] + w[2] == pytest.approx(-(s.I + s.D / (s.N + 1) ** 2), abs=1e-9)


def test_e8_a_formula_may_pass_every_interior_check_and_be_the_lower_peak():
    data = case("s8a")
    s = theory.setting(data)
    k = s.merchant()
    at = figures._fully_used(data, k)
    assert s.A1 + s.Z1 * s.F * k > s.B and s.A2 - s.Z2 * k > s.B  # firms produce in both periods at the formula's size
    assert at["profit"] == pytest.approx(418.27986726, abs=1e-7)
    near = [figures._fully_used(data, k + step)["profit"] for step in (-0.01, 0.01)]
    assert max(near) < at["profit"]
    one = answer(data, "merchant")
    assert one.value(*PROFIT) == pytest.approx(431.38204225, abs=1e-7)
    assert one.value(*SIZE) == pytest.approx(17.42957746, abs=1e-8)


def test_e9_propositions_do_not_extend_to_rising_costs():
    """(i) sizes cross twice: see also test_with_rising_costs_sizes_may_cross_twice; (ii) k_Pi rises with N."""
    for N, merchant, owner in ((3, 4.21666566, 3.94179860), (10, 2.88885262, 2.88928964)):
        data = data_of(60, 110, 1, 1.2, 20, 0.3, 1.2, 0.5, N)
        one = answer(data, "merchant")
        assert one.value(*SIZE) == pytest.approx(merchant, abs=1e-8)
        assert answer(data, "welfare_owner").value(*SIZE) == pytest.approx(owner, abs=1e-8)
        assert one.value("welfare change") > 0
    expected = {1: 7.57106494, 2: 8.48719230, 5: 9.56027009, 20: 10.41263204}
    found = [answer(data_of(50, 115, 1.9, 0.6, 3, 1, 1.2, 2, N), "merchant").value(*SIZE) for N in expected]
    assert found == pytest.approx(list(expected.values()), abs=1e-8)
    assert found == sorted(found)


@pytest.mark.parametrize(
    ("name", "structure", "raw"), [("s4", "welfare_owner", -4.94186047), ("s5", "merchant", -0.84889643)]
)
def test_e10_negative_sizes_are_zero(name, structure, raw):
    data = case(name)
    found = theory.formula(data, theory.setting(data), structure, {})
    assert found.value == pytest.approx(raw, abs=1e-8)
    assert answer(data, structure).value(*SIZE) == pytest.approx(0, abs=1e-9)


def test_e12_a_given_size_may_be_used_less_than_to_the_interior_optimum():
    data = case("s8b")
    one = answer(data, "installed_merchant")
    assert theory.formula(data, theory.setting(data), "installed_merchant", {}).value == 22
    paid = 0.02 * 22**2 / 2
    assert figures._fully_used(data, 22.0)["profit"] + paid == pytest.approx(450.56, abs=1e-6)
    assert one.value(*PROFIT) + paid == pytest.approx(470.25709, abs=1e-5)
    assert one.value("discharged energy", "owner=1") == pytest.approx(18.26241135, abs=1e-8)


@pytest.mark.parametrize(("name", "expected"), [("s8a", [-19.17]), ("s8b", [-27.18, -27.10]), ("s9", []), ("s10", [])])
def test_e13_consumption_is_negative_off_peak(name, expected):
    """Consumer surplus is then not reported, and the answer is flagged."""
    data = case(name)
    for structure, value in zip(("merchant", "welfare_owner"), expected or (None, None), strict=False):
        one = answer(data, structure)
        found = one.value("consumption", "period=off-peak")
        assert found < 0 if value is None else found == pytest.approx(value, abs=0.005)
        assert "consumer surplus" not in set(one.values["quantity"])
        assert summary_of(one).str.contains("net of output that must run").any()


def summary_of(one):
    return market.summary([one])["warnings"]["warning"]


def test_e14_the_ramping_charge_that_mends_s2_turns_the_ramp_round():
    one = answer(case("s2"), "ramping_merchant")
    assert one.value("output", "period=off-peak") > one.value("output", "period=on-peak")
    assert one.value(*SIZE) == pytest.approx(23.75478927, abs=1e-8)


def test_e15_the_order_of_moves_decides_the_answer():
    sizes = [answer(case("s2"), name).value(*SIZE) for name in ("merchant", "simultaneous_operation", "open_loop")]
    assert sizes == pytest.approx([13.85281385, 9.65309201, 9.370424597], abs=1e-8)
