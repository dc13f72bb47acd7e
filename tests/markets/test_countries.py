"""Coupled countries: reference cases, adding up, readings against each other, closed forms, faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from countries_solved import INF, data_of, solved

from equilibrium.case import read_case
from equilibrium.errors import Infeasible, Refused
from equilibrium.run import run_case
from models.coupled_countries import accounts, check, parts, theory

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"
CASES = sorted(path.parent.name for path in DATA.glob("*/case.toml"))
ALPHA = (1.0, 1.2, 1.44)
LINKED = {("a", "b"): INF, ("b", "a"): INF}


@pytest.mark.parametrize("case", CASES)
def test_reference_case_is_certified_and_met(case: str) -> None:
    results = run_case(DATA / case, write=False)
    assert results.code == 0 and not results.failures
    assert {one.solution.certificate.verdict for one in results.solved} == {"certified"}
    validation = results.tables["validation"]
    assert (~validation["rule"].isin([theory.ALONE, theory.TWO])).sum() == len(results.case.expected) >= 13
    assert (validation["within"] == "yes").all()


@pytest.mark.parametrize("case", CASES)
def test_reference_tolerances_are_tight(case: str) -> None:
    expected = read_case(DATA / case).expected
    nonzero = expected[expected["value"] != 0]
    assert (nonzero["tolerance"] <= 1.06e-8 * nonzero["value"].abs()).all()
    largest = expected["value"].abs().max()
    assert (expected["tolerance"] <= 1.06e-8 * largest).all()


def draw(seed: int, hours: tuple[int, ...] = (1,)) -> dict:
    """Two countries with three plants each, limited links, inelastic in a, elastic in b with demand response.

    Uniform laws: a in [5, 20], b in [0.3, 1.5], K in [15, 40], D in [20, 40], Cap in [2, 15], c in [90, 200], d in [1,
    4], gamma in [0, 2], toll in [0, 2].
    """
    rng = np.random.default_rng(seed)
    plants = {n: list(zip(*rng.uniform([[5], [0.3], [15]], [[20], [1.5], [40]], (3, 3)), strict=True)) for n in "ab"}
    return {
        "plants": plants,
        "links": {("a", "b"): rng.uniform(2, 15), ("b", "a"): rng.uniform(2, 15)},
        "inelastic": {("a", h): (rng.uniform(20, 40), 100.0) for h in hours},
        "elastic": {("b", h): (rng.uniform(90, 200), rng.uniform(1, 4)) for h in hours},
        "toll": float(rng.uniform(0, 2)),
        "gamma": float(rng.uniform(0, 2)),
    }


def drawn(seed: int, placement: str = "demand", hours: tuple[int, ...] = (1,), weights: dict | None = None):
    given = draw(seed, hours)
    return data_of(response={"b": (given.pop("gamma"), placement)}, hours=weights, **given)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("structure", "placement"),
    [
        *(("separable", place) for place in ("demand", "plant", "local")),
        *((name, place) for name in ("joint", "netted") for place in ("demand", "plant")),
    ],
)
def test_welfare_adds_up(seed: int, structure: str, placement: str) -> None:
    """The sum over countries (and over markets) is value minus resources, counted without any price; payments
    cancel, and what is left in the accounts is consumers' value short of welfare."""
    one = solved(drawn(seed, placement), structure)
    total = parts.resources(one.model)
    assert one.value("welfare") == pytest.approx(total, rel=1e-10)
    if structure == "separable":
        markets = sum(parts.market_welfare(one.model, n) for n in "ab")
        assert markets == pytest.approx(total, rel=1e-10)
    books = accounts.accounts(one)
    payments = books[books["item"].str.contains("payment")]["value"]
    assert abs(payments.sum()) <= 1e-10 * payments.abs().max()
    value = sum(parts.gross_value(one.model, n) for n in "ab")
    assert books["value"].sum() == pytest.approx(total - value, rel=1e-10)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("placement", ["demand", "plant"])
def test_joint_and_netted_agree_for_two_countries(seed: int, placement: str) -> None:
    data = drawn(seed, placement)
    joint, netted = (
        solved(data, name).values.set_index(["quantity", "index"])["value"] for name in ("joint", "netted")
    )
    used = [q != "congestion price" for q, _ in joint.index]
    assert list(joint.index) == list(netted.index)
    assert joint[used].to_numpy() == pytest.approx(netted[used].to_numpy(), rel=1e-9, abs=1e-8)


def test_identical_countries_trade_both_ways_only_with_separable_cost() -> None:
    """a = 10, b = 1, D = 30 each: 15 + 15 at 25 and a cost of 1050 in all, against 40 and 1500 with one cost."""
    given = {"plants": {n: [(10, 1, INF)] for n in "ab"}, "links": LINKED}
    data = data_of(inelastic={("a", 1): (30, 100), ("b", 1): (30, 100)}, **given)
    separable, joint = solved(data), solved(data, "joint")
    assert separable.value("price", "country=a;hour=1") == pytest.approx(25)
    assert separable.value("sales", "country=a;hour=1;plant=t1;to=b") == pytest.approx(15)
    assert sum(separable.value("generation cost", f"country={n}") for n in "ab") == pytest.approx(1050)
    assert joint.value("price", "country=a;hour=1") == pytest.approx(40)
    assert sum(joint.value("generation cost", f"country={n}") for n in "ab") == pytest.approx(1500)


@pytest.mark.parametrize("seed", range(40))
def test_difference_of_prices_in_closed_form(seed: int) -> None:
    """Separable, every plant in both markets: lam_n - lam_m = [Q_n - Q_m + S_m P_mn - S_n P_nm]/(S_n + S_m).

    Draws: common a in [5, 15], b in [0.5, 1.5] times 1, 1.2, 1.44; D in [45, 70]; Cap in [15, 40]; those with a plant
    at zero in a market are left out.
    """
    rng = np.random.default_rng(seed)
    a, b, D = rng.uniform(5, 15), rng.uniform(0.5, 1.5), rng.uniform(45, 70, 2)
    links = {("a", "b"): rng.uniform(15, 40), ("b", "a"): rng.uniform(15, 40)}
    plants = {n: [(a * k, b * k, INF) for k in ALPHA] for n in "ab"}
    one = solved(data_of(plants, links, {("a", 1): (D[0], 100.0), ("b", 1): (D[1], 100.0)}))
    sales = one.values[one.values["quantity"] == "sales"]["value"]
    if not (sales > 1e-6).all():
        pytest.skip("a plant stays out of a market")
    S = sum(1 / (b * k) for k in ALPHA)
    there, back = (one.value("congestion price", f"from={n};hour=1;to={m}") for n, m in ("ab", "ba"))
    found = one.value("price", "country=a;hour=1") - one.value("price", "country=b;hour=1")
    assert found == pytest.approx((D[0] - D[1] + S * (back - there)) / (2 * S), abs=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.5, 4.0])
def test_isolated_country_in_closed_form(gamma: float) -> None:
    """Q* = (c - a)/(gamma + b + d), SW = Q*(c - a)/2, CS = d Q*^2/2 (a = 10, b = 0.5, c = 220, d = 2)."""
    data = data_of({"a": [(10, 0.5, INF)]}, elastic={("a", 1): (220.0, 2.0)}, response={"a": (gamma, "demand")})
    one, Q = solved(data, "joint"), 210 / (gamma + 2.5)
    assert one.value("consumption", "country=a;hour=1") == pytest.approx(Q, rel=1e-9)
    assert one.value("welfare") == pytest.approx(105 * Q, rel=1e-9)
    assert one.value("consumer surplus", "country=a") == pytest.approx(Q**2, rel=1e-9)
    assert one.value("demand response margin", "country=a") == pytest.approx(gamma * Q**2 / 2, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("structure", ["separable", "joint", "netted"])
def test_hours_are_independent_and_weighted(structure: str) -> None:
    weights = {1: 0.5, 2: 3.0}
    both = solved(drawn(3, hours=(1, 2), weights=weights), structure)
    total = 0.0
    for hour, weight in weights.items():
        given = draw(3, (1, 2))
        for name in ("inelastic", "elastic"):
            given[name] = {key: value for key, value in given[name].items() if key[1] == hour}
        alone = solved(data_of(response={"b": (given.pop("gamma"), "demand")}, **given), structure)
        total += weight * alone.value("welfare")
        where = f"country=b;hour={hour}"
        assert both.value("price", where) == pytest.approx(alone.value("price", where), rel=1e-9)
        rent = f"country=a;hour={hour};plant=t1"
        assert both.value("capacity rent", rent) == pytest.approx(
            alone.value("capacity rent", rent), rel=1e-8, abs=1e-9
        )
    assert both.value("welfare") == pytest.approx(total, rel=1e-10)


def test_local_placement_needs_separable_cost() -> None:
    for structure in ("joint", "netted"):
        with pytest.raises(Refused, match="separable"):
            solved(drawn(0, "local"), structure)


@pytest.mark.parametrize("structure", ["separable", "joint", "netted"])
def test_feasibility_is_the_minimum_cut_and_is_explained(structure: str) -> None:
    """Random systems: refused exactly where D_n > K_n + Cap_mn for a country, or D_1 + D_2 > K_1 +
    K_2. The shortage named is the largest of those excesses. Laws: K in [10, 50], D in [10, 50], Cap in [0, 20].
    """
    rng, refused = np.random.default_rng(11), 0
    for _ in range(8):
        K, D, cap = rng.uniform(10, 50, 2), rng.uniform(10, 50, 2), rng.uniform(0, 20, 2)
        data = data_of(
            {"a": [(10.0, 1.0, K[0])], "b": [(12.0, 1.0, K[1])]},
            {("a", "b"): cap[0], ("b", "a"): cap[1]},
            {("a", 1): (D[0], 100.0), ("b", 1): (D[1], 100.0)},
        )
        short = max(D[0] - K[0] - cap[1], D[1] - K[1] - cap[0], D.sum() - K.sum())
        if short > 0:
            refused += 1
            with pytest.raises(Infeasible, match="cannot be served") as caught:
                solved(data, structure)
            total = max(short, max(D[0] - K[0] - cap[1], 0) + max(D[1] - K[1] - cap[0], 0))
            assert f"{total:.6g} MW cannot be served" in str(caught.value)
        else:
            solved(data, structure)
    assert 0 < refused < 8


def test_faults_come_in_one_message() -> None:
    data = data_of(
        {"a": [(10, 1, INF)]},
        {("a", "nowhere"): 5, ("a", "a"): 5},
        {("a", 1): (10, 100), ("b", 2): (10, 100)},
        response={"a": (1.0, "demand")},
        hours={1: 1.0},
    )
    text = " ".join(str(fault) for fault in check(data))
    for words in ("no demand of a in hour 2", "no demand of b in hour 1", "nowhere", "join two", "weight of hour 2"):
        assert words in text
    assert "without elastic demand" in text
