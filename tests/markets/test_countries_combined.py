"""Forms of data and conduct combined: conjectures on plants by a law, own balances with lost load, closed forms with
availability."""

from __future__ import annotations

import pytest
from countries_solved import INF, data_of, solved

from equilibrium.errors import Infeasible
from equilibrium.testing import assert_certified
from models.coupled_countries import check, operators, readings, theory


def test_cournot_firms_whose_plants_follow_a_law() -> None:
    """Two countries with one plant each at constant cost 10, both selling to 100 - Q in a: 30 each at a price of 40."""
    data = data_of(
        {},
        links={("b", "a"): INF},
        inelastic={("b", 1): (0.0, 0.0)},
        elastic={("a", 1): (100.0, 1.0)},
        fleets={n: (10.0, 0.0, 1.0, 1, INF) for n in "ab"},
        conjectures={("a", "a"): 1.0, ("b", "a"): 1.0},
    )
    assert not check(data)
    one = solved(data, "joint")
    assert one.value("price", "country=a;hour=1") == pytest.approx(40.0)
    for f in "ab":
        assert one.value("sales", f"firm={f};hour=1;to=a") == pytest.approx(30.0)


def test_owner_of_a_plant_beside_a_law_in_the_same_country() -> None:
    """A named owner holds its plant; those of the law belong to the firm called like the country."""
    data = data_of(
        {"a": [(10.0, 1.0, INF)]},
        elastic={("a", 1): (100.0, 1.0)},
        firms={("a", "t1"): "entrant"},
        conjectures={("entrant", "a"): 1.0},
    )
    table = data.tables["plants"].rename(index={"t1": "new"}, level="plant")
    law = data_of({}, fleets={"a": (10.0, 1.0, 1.0, 2, INF)}, elastic={("a", 1): (100.0, 1.0)})
    both = type(data)(data.market, {}, data.tables | {"plants": table, "fleets": law.tables["fleets"]})
    assert not check(both)
    one = solved(both, "joint")
    price, sold = one.value("price", "country=a;hour=1"), one.value("sales", "firm=entrant;hour=1;to=a")
    assert price == pytest.approx(10.0 + 2 * sold)  # its marginal cost, and the fall of the price on what it sells
    assert one.value("generation", "country=a;hour=1;plant=t1") == pytest.approx(price - 10.0)


def test_operators_that_mind_their_own_balance_lose_load() -> None:
    """Half of 40 MW is there, 30 are needed: 10 go without although the neighbour has plants; without a value of lost
    load there is no equilibrium."""
    given = {
        "plants": {"a": [(10.0, 1.0, 40.0)], "b": [(10.0, 1.0, 100.0)]},
        "links": {("a", "b"): INF, ("b", "a"): INF},
        "inelastic": {("a", 1): (30.0, 2000.0), ("b", 1): (20.0, 2000.0)},
        "availability": {("a", "t1", 1): 0.5},
    }
    one = solved(data_of(**given, lost_load={"a": 1000.0}), "own_balance")
    assert one.value("lost load", "country=a;hour=1") == pytest.approx(10.0)
    assert one.value("price", "country=a;hour=1") == pytest.approx(1000.0)
    assert one.value("net export", "country=b;hour=1") == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(Infeasible, match="own plants are short of 10 MW in a, hour 1"):
        operators.own_balance(data_of(**given))
    assert_certified(solved(data_of(**given), "joint").solution)  # exporters paid abroad serve it
    with pytest.raises(Infeasible, match="own plants are short of 180 MW in a, hour 1$"):  # whatever links could bring
        operators.own_balance(data_of(**given | {"inelastic": {("a", 1): (200.0, 2000.0), ("b", 1): (20.0, 2000.0)}}))


def test_closed_form_uses_what_is_available() -> None:
    """A third of the cheap plant is there: the dear one is at the margin, 20 + (25 - 10)."""
    data = data_of(
        {"a": [(10.0, 0.5, 30.0), (20.0, 1.0, 50.0)]},
        inelastic={("a", 1): (25.0, 100.0)},
        availability={("a", "t1", 1): 1 / 3},
    )
    (claim,) = theory.claims(data, "joint", {"demand": "after"})
    said = {(quantity, where): value for quantity, where, value, _ in claim.rows}
    assert said["price", "country=a;hour=1"] == pytest.approx(35.0)
    assert solved(data, "joint").value("price", "country=a;hour=1") == pytest.approx(35.0)


def test_closed_form_does_not_speak_of_lost_load() -> None:
    data = data_of({"a": [(10.0, 0.5, 30.0)]}, inelastic={("a", 1): (35.0, 100.0)}, lost_load={"a": 500.0})
    (claim,) = theory.claims(data, "joint", {"demand": "after"})
    assert not claim.rows and claim.reason == "demand may go without: supply has a last plant"


def test_a_conjecture_of_a_firm_of_a_law_is_checked() -> None:
    data = data_of(
        {}, fleets={"a": (10.0, 1.0, 1.0, 1, INF)}, elastic={("a", 1): (100.0, 1.0)}, conjectures={("b", "a"): 1.0}
    )
    (fault,) = check(data)
    assert "no plant of this firm" in str(fault)
    assert readings.countries(data) == ["a"]
