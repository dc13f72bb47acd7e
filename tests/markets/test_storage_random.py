"""Five hundred random two-period sets: the bilevel answer against search, the welfare identity, numbers of firms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import storage_search as search
from storage_tables import data_of

from equilibrium.case import Alternative
from equilibrium.data import Data
from equilibrium.run import solve_one
from models.storage_investment import market, theory

SETS, BLOCK, ALWAYS = 500, 50, 2  # the first ALWAYS blocks run always
BLOCKS = [pytest.param(b, marks=[] if b < ALWAYS else pytest.mark.slow) for b in range(SETS // BLOCK)]
TOLERANCE = 1e-7
STRUCTURES = ("merchant", "welfare_owner")


def answer(data, structure):
    found = solve_one(market, data, Alternative(structure, structure, {}))
    assert found.solution.certificate.verdict == "certified", found.solution.certificate.scope
    return found


@pytest.mark.parametrize("block", BLOCKS)
def test_random_sets_match_search(block):
    rows = [search.draw(seed) for seed in range(BLOCK * block, BLOCK * (block + 1))]
    sets = search.stacked(rows)
    found = {structure: [answer(data_of(**row), structure) for row in rows] for structure in STRUCTURES}
    for which, structure in enumerate(STRUCTURES):
        k = search.best(sets, which)
        state = np.stack(search.market(sets, k))[:, :, 0]
        for one, size, (profit, welfare, off, on) in zip(found[structure], k[:, 0], state.T, strict=True):
            for name, index, value in (
                ("storage power", "owner=1", size),
                ("discharged energy", "owner=1", size),
                ("storage profit", "owner=1", profit),
                ("welfare", "", welfare),
                ("price", "period=off", off),
                ("price", "period=on", on),
            ):
                near = pytest.approx(value, abs=TOLERANCE * max(1.0, abs(value)))
                assert one.value(name, index) == near, (structure, name, theory.setting(one.data))
            adds_up(one)
    for merchant, owner in zip(*found.values(), strict=True):
        ordered(merchant, owner)


def adds_up(one):
    """Welfare is benefit less costs; also what consumers, firms and owner get, where consumer surplus has a meaning."""
    books = market.accounts(one)
    welfare = one.value("welfare")
    assert books[books["item"].isin(["cost", "benefit"])]["value"].sum() == pytest.approx(welfare, rel=1e-11, abs=1e-8)
    parts = one.values[one.values["quantity"].isin(["consumer surplus", "firm profit", "storage profit"])]
    if "consumer surplus" in set(parts["quantity"]):
        assert parts["value"].sum() == pytest.approx(welfare, rel=1e-11, abs=1e-8)


def ordered(merchant, owner):
    """N-bar < N-tilde < N-zero, and sizes and welfare as solved are what the place of N among the three says.

    Where the formulas hold: costs do not rise, and firms produce in both periods at either size.
    """
    s = theory.setting(merchant.data)
    built, wanted = (one.value("storage power", "owner=1") for one in (merchant, owner))
    if s.K > 0 or not all(s.doubt(False, k).startswith(theory.VALID) for k in (built, wanted)):
        return
    assert s.n_bar() < s.n_tilde() < s.n_zero()
    assert (wanted > built) == (s.n_bar() > s.N)
    assert (merchant.value("welfare change") < -1e-9) == (s.n_tilde() < s.N < s.n_zero())
    assert (built > 0) == (s.n_zero() > s.N)


VARIANTS = [
    ("merchant", {"owners": 3}),
    ("planner", {}),
    ("simultaneous_operation", {}),
    ("open_loop", {}),
    ("subsidised_merchant", {}),
    ("ramping_merchant", {}),
    ("installed_merchant", {}),
]


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(s, marks=pytest.mark.slow) for s in range(8, 100))])
def test_closed_forms_called_valid_are_what_is_solved(seed):
    random = np.random.default_rng(seed)
    data = data_of(**search.draw(seed))
    policy = {"subsidy": random.uniform(-5, 20), "ramping_charge": random.uniform(-5, 5)}
    size = random.uniform(1, 40)
    rows = {"policy": policy, "installed": {"power": size, "energy": size}}
    tables = {name: pd.DataFrame(row, index=pd.Index(["given"], name=name)) for name, row in rows.items()}
    data = Data(market, {}, {**data.tables, **tables})
    for structure, options in VARIANTS:
        formulas = theory.closed_form(data, structure, options)
        if formulas.empty:
            continue
        found = solve_one(market, data, Alternative(structure, structure, options))
        assert found.solution.certificate.verdict == "certified", (structure, found.solution.certificate.scope)
        for quantity, index, value, _ in formulas.itertuples(index=False):
            assert found.value(quantity, index) == pytest.approx(value, abs=1e-7), (structure, theory.setting(data))
