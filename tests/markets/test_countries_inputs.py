"""How plants and demand may be given: by a law, with availability, by an elasticity, with a value of lost load."""

from __future__ import annotations

from pathlib import Path

import pytest
from countries_solved import INF, data_of, solved

from equilibrium.case import read_case
from equilibrium.data import change
from equilibrium.errors import DataError
from models.coupled_countries import check, parts

STRUCTURES = ["separable", "joint", "netted"]
AB = {("a", "b"): 12.0, ("b", "a"): 7.0}
DEMAND = {("a", 1): (40.0, 100.0), ("b", 1): (25.0, 100.0)}


def numbers(one):
    return one.values.set_index(["quantity", "index"])["value"]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_law_is_the_rows_it_stands_for(structure: str) -> None:
    """a alpha^(t-1), b alpha^(t-1), each with the same capacity, beside a country with rows."""
    rows = [(8 * 1.3**k, 0.5 * 1.3**k, 30.0) for k in range(3)]
    other = [(10.0, 1.0, 50.0)]
    by_rows = solved(data_of({"a": rows, "b": other}, AB, DEMAND), structure)
    by_law = solved(data_of({"b": other}, AB, DEMAND, fleets={"a": (8.0, 0.5, 1.3, 3, 30.0)}), structure)
    assert list(numbers(by_law).index) == list(numbers(by_rows).index)
    assert numbers(by_law).to_numpy() == pytest.approx(numbers(by_rows).to_numpy(), rel=1e-10, abs=1e-9)


def test_law_follows_its_cells() -> None:
    data = data_of({}, inelastic={("a", 1): (20.0, 100.0)}, fleets={"a": (8.0, 0.5, 1.5, 1, INF)})
    assert solved(data).value("price", "country=a;hour=1") == pytest.approx(18.0)
    more = change(data, {"fleets.plants[a]": 2, "fleets.ratio[a]": 1.0})
    assert solved(more).value("price", "country=a;hour=1") == pytest.approx(13.0)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_availability_is_a_share_of_the_capacity(structure: str) -> None:
    """Hours 1 and 2 with shares 0.5 and 0: as if the plant had half of its capacity, and none."""
    demand = {(n, h): (Q, 100.0) for (n, _), (Q, _) in DEMAND.items() for h in (1, 2, 3)}
    plants = {"a": [(5.0, 0.1, 30.0), (20.0, 1.0, 80.0)], "b": [(10.0, 1.0, 50.0)]}
    shares = {("a", "t1", 1): 0.5, ("a", "t1", 2): 0.0}
    one = solved(data_of(plants, AB, demand, availability=shares), structure)
    for hour, capacity in ((1, 15.0), (2, 0.0), (3, 30.0)):
        plants["a"][0] = (5.0, 0.1, capacity)
        alone = solved(data_of(plants, AB, DEMAND), structure)
        assert one.value("generation", f"country=a;hour={hour};plant=t1") <= capacity + 1e-9
        for n in "ab":
            expected = alone.value("price", f"country={n};hour=1")
            assert one.value("price", f"country={n};hour={hour}") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_elasticity_at_a_point_is_the_line_through_it(structure: str) -> None:
    """p0 = 60, Q0 = 30, eps = -0.5: d = 4, c = 180; the slope of Q at the point times p0/Q0 is the elasticity."""
    plants = {"a": [(10.0, 1.0, INF)], "b": [(10.0, 1.0, 50.0)]}
    other = {("b", 1): (25.0, 100.0)}
    given = {"response": {"a": (0.5, "demand")}}
    line = solved(data_of(plants, AB, other, {("a", 1): (180.0, 4.0)}, **given), structure)
    point = solved(data_of(plants, AB, other, points={("a", 1): (60.0, 30.0, -0.5)}, **given), structure)
    assert numbers(point).to_numpy() == pytest.approx(numbers(line).to_numpy(), rel=1e-9, abs=1e-8)
    assert -1 / 4.0 * 60.0 / 30.0 == -0.5


@pytest.mark.parametrize("structure", STRUCTURES)
def test_lost_load_sets_the_price_where_demand_cannot_be_served(structure: str) -> None:
    """a: K = 30, imports at most 7, D = 40: 3 MW lost at 900; welfare counts them at their value, payments cancel."""
    plants = {"a": [(10.0, 1.0, 30.0)], "b": [(10.0, 1.0, 50.0)]}
    one = solved(data_of(plants, AB, DEMAND, lost_load={"a": 900.0, "b": 900.0}), structure)
    assert one.value("lost load", "country=a;hour=1") == pytest.approx(3.0)
    assert one.value("lost load", "country=b;hour=1") == pytest.approx(0.0, abs=1e-9)
    assert one.value("price", "country=a;hour=1") == pytest.approx(900.0)
    assert one.value("net export", "country=a;hour=1") == pytest.approx(-7.0)
    assert one.value("welfare") == pytest.approx(parts.resources(one.model), rel=1e-10)
    if structure == "separable":
        markets = sum(parts.market_welfare(one.model, n) for n in "ab")
        assert markets == pytest.approx(parts.resources(one.model), rel=1e-10)
    books = one.data.market.accounts(one)
    payments = books[books["item"].str.contains("payment")]["value"]
    assert abs(payments.sum()) <= 1e-9 * payments.abs().max()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_demand_that_is_lost_is_not_exported(structure: str) -> None:
    """b values its load less than a: it may not go without for a's sake beyond its own demand."""
    plants = {"a": [(10.0, 1.0, 5.0)], "b": [(10.0, 1.0, 2.0)]}
    links = {("b", "a"): INF}
    one = solved(data_of(plants, links, DEMAND, lost_load={"a": 900.0, "b": 50.0}), structure)
    lost = {n: one.value("lost load", f"country={n};hour=1") for n in "ab"}
    assert lost["b"] == pytest.approx(25.0)
    assert lost["a"] == pytest.approx(33.0)
    assert one.value("net export", "country=b;hour=1") == pytest.approx(2.0)
    assert one.value("welfare") == pytest.approx(parts.resources(one.model), rel=1e-10)


def test_faults_of_inputs_come_in_one_message() -> None:
    data = data_of(
        {"a": [(10.0, 1.0, INF)], "b": [(10.0, 1.0, 5.0)]},
        inelastic={("a", 1): (10.0, 100.0), ("c", 1): (10.0, 100.0)},
        elastic={("b", 1): (100.0, 1.0)},
        fleets={"a": (8.0, 0.5, 1.3, 1, 30.0)},
        availability={("a", "t9", 1): 0.5, ("b", "t1", 7): 0.5, ("a", "t1", 1): 0.5},
        lost_load={"b": 100.0, "nowhere": 100.0},
        points={("b", 1): (60.0, 30.0, -0.5)},
    )
    text = "\n".join(str(fault) for fault in check(data))
    for words in (
        "fleets.csv names a plant of this country so already",
        "no plant of this name (found: 'a, t9')",
        "without a capacity; give it one (found: 'a, t1')",
        "an hour without demand (found: '7')",
        "elastic_demand.csv gives the same demand",
        "nothing can be lost (found: 'b')",
        "neither plants nor demand (found: 'nowhere')",
    ):
        assert words in text
    nothing = data_of({}, inelastic={("a", 1): (10.0, 100.0)})
    assert "there are no plants" in " ".join(str(fault) for fault in check(nothing))


def test_wrong_cells_come_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(
        'market = "coupled_countries"\ntitle = "t"\nsource = "s"\nlicence = "l"\ncurrency = "EUR"\n'
    )
    (tmp_path / "alternatives.csv").write_text("name,structure\njoint,joint\n")
    (tmp_path / "fleets.csv").write_text("country,intercept,slope,ratio,plants\na,10,1,0.9,1.5\n")
    (tmp_path / "availability.csv").write_text("country,plant,hour,share\na,t1,1,1.2\n")
    (tmp_path / "reference_demand.csv").write_text("country,hour,price,quantity,elasticity\na,1,0,30,0.5\n")
    (tmp_path / "lost_load.csv").write_text("country,value\na,-1\n")
    with pytest.raises(DataError) as caught:
        read_case(tmp_path)
    found = {(fault.file, fault.column) for fault in caught.value.faults}
    assert found == {
        ("fleets.csv", "ratio"),
        ("fleets.csv", "plants"),
        ("availability.csv", "share"),
        ("reference_demand.csv", "price"),
        ("reference_demand.csv", "elasticity"),
        ("lost_load.csv", "value"),
    }
