"""The studies of coupled countries against reference values, closed forms and each other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from countries_solved import INF, data_of

from equilibrium.case import Alternative, read_case
from equilibrium.data import change
from equilibrium.errors import DataError
from models.coupled_countries import regions, segment, shares, statics, study
from models.coupled_countries.response import (
    CONSUMERS,
    COUNTRY,
    MARKET,
    TOTAL,
    Response,
    Variant,
    explicit,
    neighbourhood,
    responding,
    variants,
)

DATA = Path(__file__).parents[2] / "data" / "coupled_countries"
JOINT = [Alternative("joint", "joint", {"demand": "after"})]

# Base point, reading: least consumption by welfare of the market, of the country, of all, and by consumer surplus.
LEAST = {
    ("efficient_open", "separable"): (32.00636412, 32.01210105, 31.71389536, 47.91156605),
    ("efficient_open", "joint"): (None, 30.78188443, 30.07366015, 45.60019114),
    ("efficient_limited", "separable"): (33.04463686, 33.00242505, 32.93174961, 49.30076343),
    ("efficient_limited", "joint"): (None, 32.74283113, 32.54744321, 48.21286135),
    ("inefficient_open", "separable"): (32.00636412, 30.71978431, 31.71389536, 47.91156605),
    ("inefficient_open", "joint"): (None, 29.03177951, 30.07366015, 45.60019114),
    ("inefficient_limited", "separable"): (27.57879367, 27.29586230, 27.57879367, 41.63914242),
    ("inefficient_limited", "joint"): (None, 27.29586230, 27.57879367, 41.63914242),
}
# Signs of the change of least consumption: D_n, Pbar, c, d, a_n, b_n, K_n, D_m, K_m, a_m, Cap_nm, Cap_mn.
SIGNS = {
    "efficient_open": "++-0--+-0-  ",
    "efficient_limited": "++-0--+000-0",
    "inefficient_open": "++-0--0-+-  ",
    "inefficient_limited": "++-0--+0000+",
}
COUNTEREXAMPLES = [  # case, reading, parameter, criterion, least consumption at -2 %, base, +2 %, sign
    ("slope", "separable", "b_n", COUNTRY, (9.07299942, 9.07347304, 9.07394581), "+"),
    ("slope", "joint", "b_n", COUNTRY, (9.02706820, 9.02666985, 9.02627305), "-"),
    ("capacity", "joint", "K_n", COUNTRY, (13.54864229, 13.54065538, 13.53185250), "-"),
    ("limit", "separable", "Cap_nm", COUNTRY, (30.56400844, 30.56402514, 30.56404185), "+"),
    ("limit", "separable", "Cap_nm", TOTAL, (30.60512393, 30.60681890, 30.60854743), "+"),
]


def asked(name: str, reading: str = "joint") -> Response:
    data = read_case(DATA / name).data
    return Response(explicit(neighbourhood(data, "one")), Variant(reading, {}), "one")


def isolated(plants=((10.0, 0.5, INF),), D=40.0, value=100.0, c=220.0, d=2.0, place="demand", gamma=1.0, **more):
    return data_of({"a": list(plants)}, None, {("a", 1): (D, value)}, {("a", 1): (c, d)}, {"a": (gamma, place)}, **more)


def tables(data, alternatives=JOINT):
    return study.demand_response(data, alternatives, lambda text: None)


def by_criterion(table):
    return {row["criterion"]: row for row in table.to_dict("records")}


# ---------------------------------------------------------------------------------------------------------- thresholds


@pytest.mark.parametrize(("case", "reading"), LEAST)
def test_least_consumption_at_the_base_points(case: str, reading: str) -> None:
    """To the digits printed (8 decimals)."""
    one = asked(f"base_{case}", reading)
    assert one.criteria() == [
        name for name in (COUNTRY, MARKET, TOTAL, CONSUMERS) if reading != "joint" or name != MARKET
    ]
    for criterion, least in zip((MARKET, COUNTRY, TOTAL, CONSUMERS), LEAST[case, reading], strict=True):
        if least is not None:
            found = one.threshold(criterion)
            assert one.after(found.value).consumption[1] == pytest.approx(least, abs=6e-9)
            assert one.change(criterion, found.value * 0.999) > 0 > one.change(criterion, found.value * 1.001)


@pytest.mark.parametrize(
    ("case", "criterion", "gamma", "least"),
    [
        ("demand_response", COUNTRY, 2.6511594751, 32.7428311334),
        ("demand_response", TOTAL, 2.6825390165, 32.5474432084),
        ("demand_response", CONSUMERS, 0.9739241321, 48.2128613546),
        ("demand_response_open", MARKET, 2.6676584141, 32.0063641231),
        ("demand_response_open", COUNTRY, 2.6667769266, 32.0121010470),
        ("demand_response_open", TOTAL, 2.7130192635, 31.7138953625),
        ("demand_response_open", CONSUMERS, 1.0305768197, 47.9115660505),
    ],
)
def test_thresholds_of_the_sweeps(case: str, criterion: str, gamma: float, least: float) -> None:
    one = asked(case, "joint" if case == "demand_response" else "separable")
    found = one.threshold(criterion)
    assert found.value == pytest.approx(gamma, abs=6e-11)
    assert one.after(found.value).consumption[1] == pytest.approx(least, abs=6e-11)


@pytest.fixture(scope="module")
def closed_economy():
    """Set R8: a = 10, b = 0.5, D = 40, Pbar = 100, c = 220, d = 2."""
    return tables(isolated())


def test_closed_economy_meets_its_closed_forms(closed_economy) -> None:
    found, closed = by_criterion(closed_economy["thresholds"]), by_criterion(closed_economy["closed_form"])
    for criterion, least, intensity, limit in (
        (COUNTRY, 30.4761904762, 4.3906250000, -2.6093750000),
        (CONSUMERS, 52.9150262213, 1.4686269666, -1.0788046016),
    ):
        assert found[criterion]["Q_min [MW]"] == pytest.approx(least, abs=1e-9)
        assert found[criterion]["intensity"] == pytest.approx(intensity, abs=1e-9)
        assert found[criterion]["elasticity limit"] == pytest.approx(limit, abs=1e-9)
        assert closed[criterion]["holds"] == "yes"
        assert closed[criterion]["closed form intensity"] == pytest.approx(intensity, abs=1e-10)
        assert closed[criterion]["closed form Q_min [MW]"] == pytest.approx(least, abs=1e-10)
        assert closed[criterion]["closed form elasticity limit"] == pytest.approx(limit, abs=1e-10)
    assert found[COUNTRY]["before [EUR]"] == pytest.approx(3200) and found[CONSUMERS]["before [EUR]"] == pytest.approx(
        2800
    )


def test_closed_economy_sweep() -> None:
    """Rows of set R8: Q, price to consumers, changes of welfare and consumer surplus, elasticity."""
    one = Response(isolated(), Variant("joint", {}), "a")
    for gamma, Q, price, welfare, surplus, elastic in (
        (0.0, 84.0, 52.0, 5620.0, 4256.0, -0.3095238095),
        (0.75, 64.6153846154, 90.7692307692, 3584.6153846154, 1375.1479289941, -0.7023809524),
        (2.0, 46.6666666667, 126.6666666667, 1700.0, -622.2222222222, -1.3571428571),
        (5.0, 28.0, 164.0, -260.0, -2016.0, -2.9285714286),
    ):
        row, changes = study.sweep_row(one, gamma), study.changes_row(one, gamma)
        assert [row["Q [MW]"], row["retail price [EUR/MWh]"]] == pytest.approx([Q, price], rel=1e-9)
        assert [changes["country welfare [EUR]"], changes["consumer surplus [EUR]"]] == pytest.approx(
            [welfare, surplus]
        )
        assert row["elasticity"] == pytest.approx(elastic, abs=1e-9)
        parts = changes["by preferences [EUR]"] + changes["by response [EUR]"]
        assert parts == pytest.approx(changes["welfare [EUR]"], rel=1e-10)
        assert changes["by preferences [EUR]"] == pytest.approx(5620.0)


def test_elasticity_limit_is_signed(closed_economy) -> None:
    """Erratum 25: the criterion holds where demand is at most c/(d Q_min) - 1 elastic, in absolute value."""
    limit = -by_criterion(closed_economy["thresholds"])[COUNTRY]["elasticity limit"]
    for row, change_of in zip(
        closed_economy["sweep"].to_dict("records"), closed_economy["changes"]["country welfare [EUR]"], strict=True
    ):
        assert (-row["elasticity"] <= limit) == (change_of >= 0)


@pytest.mark.parametrize(("c", "possible"), [(220.0, True), (171.0, True), (169.0, False)])
def test_real_reduction_needs_a_high_choke_price(c: float, possible: bool) -> None:
    """c > 2 Pbar - P1 = 170, said in words, and agreeing with the equilibrium's Q_min against D."""
    found = tables(isolated(c=c))
    least = by_criterion(found["thresholds"])[COUNTRY]["Q_min [MW]"]
    assert (least < 40.0) == possible
    text = " ".join(found["answers"]["answer"])
    assert f"without a loss of welfare {'because' if possible else 'only if'} c > 2 Pbar - P1" in text
    assert "2 Pbar - P1 170" in text
    word = "is" if possible else "is not"
    own = text.split("The surplus")[0].split("all")[0]
    assert f"(40 before): an actual reduction of consumption {word} possible without a loss of it" in own


def test_none_and_unbounded_are_answers() -> None:
    """Far less valued after than before: none. Nothing worth before: unbounded, and no closed form."""
    found = tables(isolated(value=400.0))
    assert set(found["thresholds"]["answer"]) == {"none"}
    assert found["thresholds"]["intensity"].isna().all()
    assert "already without demand response" in found["answers"]["answer"][0]
    assert found["closed_form"]["closed form intensity"].max() < 0
    worthless = tables(isolated(value=15.0))
    assert set(worthless["thresholds"]["answer"]) == {"unbounded"}
    assert worthless["closed_form"]["holds"].str.contains("before is not positive").all()
    assert "at every intensity tried" in worthless["answers"]["answer"][0]


def test_placement_on_plants_may_be_unbounded() -> None:
    """The neighbour serves the country: however costly its own plants become, it is better off than before."""
    data = data_of(
        {"a": [(10.0, 0.5, INF)], "b": [(10.0, 0.5, INF)]},
        {("b", "a"): INF},
        {("a", 1): (40.0, 60.0), ("b", 1): (10.0, 100.0)},
        {("a", 1): (220.0, 2.0)},
        {"a": (1.0, "plant")},
    )
    found = tables(data)
    assert by_criterion(found["thresholds"])[TOTAL]["answer"] == "unbounded"
    assert found["closed_form"]["holds"].str.contains("placed on plant").all()


def test_closed_forms_of_merit_orders() -> None:
    """Isolated countries with three plants: where the closed form claims to hold, it is the equilibrium's threshold.

    Uniform laws: a in [5, 20], b in [0.2, 1], K in [10, 30] (the last without limit), D in [20, 60], Pbar in [60, 120],
    c in [120, 300], d in [1, 4].
    """
    held = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        plants = [(rng.uniform(5, 20), rng.uniform(0.2, 1), K) for K in (*rng.uniform(10, 30, 2), INF)]
        data = isolated(plants, rng.uniform(20, 60), rng.uniform(60, 120), rng.uniform(120, 300), rng.uniform(1, 4))
        one = Response(data, Variant("joint", {}), "a")
        rows = study.thresholds(one)
        found, closed = by_criterion_rows(rows), by_criterion_rows(study.closed_form(one, rows))
        for criterion in (COUNTRY, CONSUMERS):
            own, formula = found[criterion], closed[criterion]
            if formula["holds"] == "yes":
                held += 1
                assert formula["closed form intensity"] == pytest.approx(own["intensity"], abs=1e-8)
                assert formula["closed form Q_min [MW]"] == pytest.approx(own["Q_min [MW]"], abs=1e-8)
            elif formula["holds"].startswith("yes: none"):
                assert own["answer"] == "none"
            else:
                assert "not on the line of supply" in formula["holds"]
    assert 6 <= held < 24


def test_lines_of_a_merit_order() -> None:
    line = segment.line_at([(10.0, 1.0, 20.0), (20.0, 1.0, INF)], 40.0)
    assert (line.intercept, line.slope, line.low, line.high) == pytest.approx((0.0, 1.0, 30.0, INF))
    both = segment.line_at([(10.0, 1.0, INF), (20.0, 1.0, INF)], 30.0)
    assert (both.intercept, both.slope, both.low) == pytest.approx((15.0, 0.5, 10.0))
    flat = segment.line_at([(10.0, 0.0, 20.0), (30.0, 0.0, INF)], 15.0)
    assert (flat.intercept, flat.slope, flat.low, flat.high) == pytest.approx((10.0, 0.0, 0.0, 20.0))
    assert segment.line_at([(10.0, 1.0, 20.0)], 21.0) is None


def test_why_closed_forms_do_not_hold() -> None:
    link = {("a", "b"): 5.0}
    given = {"plants": {n: [(10.0, 0.5, INF)] for n in "ab"}, "inelastic": {(n, 1): (40.0, 100.0) for n in "ab"}}
    given |= {"elastic": {("a", 1): (220.0, 2.0)}, "response": {"a": (1.0, "demand")}}
    assert tables(data_of(links=link, **given))["closed_form"]["holds"].str.contains("trades").all()
    hours = data_of(
        {"a": [(10.0, 0.5, INF)]},
        inelastic={("a", h): (40.0, 100.0) for h in (1, 2)},
        elastic={("a", h): (220.0, 2.0) for h in (1, 2)},
        response={"a": (1.0, "demand")},
        hours={1: 3.0, 2: 1.0},
    )
    found = tables(hours)
    assert found["closed_form"]["holds"].str.contains("several hours").all()
    assert by_criterion(found["thresholds"])[COUNTRY]["intensity"] == pytest.approx(4.390625, abs=1e-9)  # alike: as one
    assert by_criterion(found["thresholds"])[COUNTRY]["before [EUR]"] == pytest.approx(4 * 3200)
    lost = isolated(lost_load={"a": 1000.0})
    assert tables(lost)["closed_form"]["holds"].str.contains("may go without").all()


def test_a_point_without_an_answer_is_a_row_with_the_reason() -> None:
    found = tables(isolated([(10.0, 0.5, 30.0)]))
    assert found["thresholds"]["answer"].tolist() == ["not answered"]
    assert "10 MW cannot be served" in found["thresholds"]["verdict"][0]


def test_study_needs_a_before_and_an_after() -> None:
    data = data_of({"a": [(10.0, 0.5, INF)]}, elastic={("a", 1): (220.0, 2.0)}, response={"a": (1.0, "demand")})
    with pytest.raises(DataError, match="no country has demand response with an inelastic demand"):
        tables(data)


def test_other_countries_do_not_change_and_the_unconnected_do_not_matter() -> None:
    """Of the case with four pairs, one pair gives what its own case gives; before, its neighbour is as after."""
    data = read_case(DATA / "base_points").data
    name = "inefficient limited"
    near = neighbourhood(data, name)
    assert {n for n, _ in near.tables["plants"].index} == {name, f"beside {name}"}
    one = Response(near, Variant("joint", {}), name)
    assert one.threshold(COUNTRY).value == pytest.approx(asked("base_inefficient_limited").threshold(COUNTRY).value)
    assert len(responding(data)) == 4


def test_demand_at_a_point_is_studied_as_its_line() -> None:
    point = data_of(
        {"a": [(10.0, 0.5, INF)]},
        inelastic={("a", 1): (40.0, 100.0)},
        points={("a", 1): (120.0, 50.0, -1.2)},
        response={"a": (1.0, "demand")},
    )
    assert by_criterion(tables(point)["thresholds"])[COUNTRY]["intensity"] == pytest.approx(4.390625, abs=1e-9)


def test_variants_are_named_by_what_is_not_default() -> None:
    market = read_case(DATA / "demand_response").market
    found = variants(market, read_case(DATA / "base_points").alternatives)
    assert [one.name for one in found] == ["separable", "joint"]


# ------------------------------------------------------------------------------------------------- comparative statics


@pytest.mark.parametrize(("case", "reading", "parameter", "criterion", "least", "sign"), COUNTEREXAMPLES)
def test_counterexamples(case: str, reading: str, parameter: str, criterion: str, least: tuple, sign: str) -> None:
    """Least consumption moves against Propositions 5 and 6 (and, with one cost, with them)."""
    one = asked(f"counterexample_{case}", reading)
    rows = by_criterion_rows(statics.told(one, parameter, {criterion: one.threshold(criterion).value}))
    row = rows[criterion]
    found = [row[f"Q_min {word} [MW]"] for word in ("-", "base", "+")]
    assert found == pytest.approx(least, abs=1.1e-8)
    assert row["sign"] == sign
    if (case, reading) == ("slope", "joint"):  # both fall: least consumption is no measure of intensity
        intensity = [row[f"intensity {word}"] for word in ("-", "base", "+")]
        assert intensity == pytest.approx([26.35138898, 26.33860498, 26.32581559], abs=1e-7)


def by_criterion_rows(rows):
    return {row["criterion"]: row for row in rows}


@pytest.mark.parametrize("case", SIGNS)
def test_some_signs_of_the_base_points(case: str) -> None:
    """Each parameter that the four base points tell apart, in the joint reading, by welfare and by consumer surplus."""
    one = asked(f"base_{case}")
    start = {name: one.threshold(name).value for name in (COUNTRY, CONSUMERS)}
    for name in ("K_n", "D_m", "Cap_nm", "Cap_mn"):
        expected = SIGNS[case][list(statics.PARAMETERS).index(name)].strip()
        rows = statics.told(one, name, start)
        assert [row["sign"] for row in rows] == ([expected] * 2 if expected else [])


@pytest.mark.slow
def test_sign_table_of_the_base_points() -> None:
    """Four base points, two readings, every criterion: 328 signs."""
    case = read_case(DATA / "base_points")
    table = statics.comparative_statics(case.data, case.alternatives, lambda text: None)["signs"]
    assert len(table) == 28 and set(table["verdict"]) == {"certified"}
    for row in table.to_dict("records"):
        expected = SIGNS[row["country"].replace(" ", "_")]
        if row["criterion"] == CONSUMERS:
            expected = expected[:2] + "0-" + expected[4:]
        assert [row[name] or " " for name in statics.PARAMETERS] == list(expected), row


def test_secants_find_the_threshold_of_the_search() -> None:
    one, again = asked("base_efficient_limited"), asked("base_efficient_limited")
    for criterion in one.criteria():
        searched = one.threshold(criterion).value
        assert statics.root(again, criterion, 1.07 * searched) == pytest.approx(searched, rel=1e-10)


def test_a_kink_shows_both_sides() -> None:
    assert statics.sign({"-": 1.0, "base": 1.0, "+": 1.1}) == "0/+"
    assert statics.sign({"-": 1.2, "base": 1.0, "+": 0.9}) == "-"
    assert statics.sign({"-": 1.0, "base": 1.0, "+": 1.0 + 1e-9}) == "0"


# ----------------------------------------------------------------------------------------------------- regions, shares


def test_regions_pass_through_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """At factors 1 the least consumption is the case's; demand that cannot be served is a row with the reason."""
    monkeypatch.setattr(regions, "FACTORS", np.array([1.0, 2.0]))
    case = read_case(DATA / "base_inefficient_limited")
    table = regions.regions(case.data, case.alternatives[2:], lambda text: None)["regions"]
    own = table[(table["x"] == 1) & (table["y"] == 1)]
    for criterion, least in ((COUNTRY, 27.29586230), (CONSUMERS, 41.63914242)):
        found = own[own["criterion"] == criterion]["Q_min [MW]"]
        assert len(found) == 2 and found.to_numpy() == pytest.approx(least, abs=6e-9)
    reasons = table[(table["plane"] == "cost and demand") & (table["y"] == 2)]
    assert reasons["verdict"].str.contains("cannot be served").all() and len(reasons) == 4


def test_shares_follow_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links without limits, nobody full or idle: home - export = (Q_n - Q_m)/(b_t (S_n + S_m))."""
    monkeypatch.setattr(shares, "SPAN", np.array([-0.2, 0.0, 0.3]))
    case = read_case(DATA / "textbook_r2")
    table = shares.shares(case.data, case.alternatives, lambda text: None)["shares"]
    open_links = table[table["setting"] == "links without limits"]
    slopes = {"t1": 1.0, "t2": 1.2, "t3": 1.44}
    total = 2 * sum(1 / b for b in slopes.values())
    for row in open_links.to_dict("records"):
        gap = row["difference of demands [MW]"] / (slopes[row["plant"]] * total)
        assert row["home [MW]"] - row["export [MW]"] == pytest.approx(gap, abs=1e-8)
    assert len(open_links) == 9 and set(table["verdict"]) == {"certified"}
    limited = table[(table["setting"] == "links as in the case") & (table["difference of demands [MW]"] == 0)]
    assert (limited["home [MW]"] > limited["export [MW]"]).all()  # the paper's figure 2


def test_shares_need_two_linked_countries() -> None:
    with pytest.raises(DataError, match="no link joins"):
        shares.shares(isolated(), JOINT, lambda text: None)


def test_intensity_changed_by_address_moves_the_sweep_only() -> None:
    data = change(isolated(), {"demand_response.intensity[a]": 3.0})
    found = tables(data)
    assert 3.0 in found["sweep"]["intensity"].to_list()
    assert math.isclose(by_criterion(found["thresholds"])[COUNTRY]["intensity"], 4.390625, abs_tol=1e-9)
