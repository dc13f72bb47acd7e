"""Hours of interconnected countries: as scenarios of one hour, as one model of all, and each alone."""

import numpy as np
import pyomo.environ as pyo
import pytest

from benchmarks.countries import READINGS, hour_by_hour, state, system
from equilibrium import solve
from equilibrium.batches import solve_many

HOURS = 8


@pytest.fixture(scope="module")
def data():
    return system(countries=6, lines=9, plants=4, hours=HOURS, seed=3)


@pytest.mark.parametrize("reading", READINGS)
def test_scenarios_are_the_hours_of_one_model(data, reading):
    model, cells = hour_by_hour(data, reading)
    batch = solve_many(model, cells)
    assert (batch.table["route"] == "together").all() and (batch.table["verdict"] == "certified").all()
    whole = state(data, reading)
    solution = solve(whole)
    assert solution.certificate.verdict == "certified" and "independent parts" in solution.route
    for n in whole.country:
        price = [whole.price[n, h].value for h in whole.hour]
        assert batch.value(model.price[n, 1]) == pytest.approx(price, rel=1e-9)
        for t in model.plants[n]:
            output = [pyo.value(whole.fleet[n].output[t, h]) for h in whole.hour]
            assert batch.value(model.fleet[n].output[t, 1]) == pytest.approx(output, rel=1e-9, abs=1e-6)
    for i, j in whole.link:
        flow = [pyo.value(whole.flow[i, j, h]) for h in whole.hour]
        assert batch.value(model.flow[i, j, 1]) == pytest.approx(flow, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_scenarios_are_the_hours_one_by_one(data, reading):
    model, cells = hour_by_hour(data, reading)
    batch = solve_many(model, cells)
    words = []
    for h in range(HOURS):
        for cell, values in cells.items():
            name = cell.removeprefix("inelastic_demand.quantity[").split(",")[0]
            model.inelastic[name, 1].set_value(values[h])
        solution = solve(model)
        words.append(solution.certificate.uniqueness.decisions)
        for n in model.country:
            assert batch.value(model.price[n, 1])[h] == pytest.approx(model.price[n, 1].value, rel=1e-9)
    told = batch.table["unique"].to_numpy()
    assert ((told != "unique") | (np.array(words) == "unique")).all()  # what many are said to be, one is
    assert reading == "joint" or (told == "unique").any()
