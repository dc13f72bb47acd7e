"""Leaders over followers as plain Pyomo models: what tests and benchmarks share."""

from __future__ import annotations

import pyomo.environ as pyo


def order(model: pyo.ConcreteModel, *first) -> pyo.ConcreteModel:
    """Declare who moves first; everybody else follows."""
    model.stage = pyo.Suffix(direction=pyo.Suffix.LOCAL)
    for block in first:
        model.stage[block] = 1
    leading = {id(block) for block in first}
    for objective in model.component_data_objects(pyo.Objective, active=True):
        if id(objective.parent_block()) not in leading:
            model.stage[objective.parent_block()] = 2
    return model


def pair() -> pyo.ConcreteModel:
    """A model with the Blocks ``leader`` and ``follower``."""
    m = pyo.ConcreteModel()
    m.leader, m.follower = pyo.Block(), pyo.Block()
    return m


def bilevel(x, y, upper, lower, leader_rows=(), follower_rows=(), senses=(pyo.minimize, pyo.minimize)):
    """One leader with Vars x, one follower with Vars y: each a list of (low, up); objectives and rows are functions
    of (x, y)."""
    m = pair()
    m.leader.x = pyo.Var(range(len(x)), bounds=lambda b, i: x[i])
    m.follower.y = pyo.Var(range(len(y)), bounds=lambda b, i: y[i])
    v, w = list(m.leader.x.values()), list(m.follower.y.values())
    m.leader.cost = pyo.Objective(expr=upper(v, w), sense=senses[0])
    m.follower.cost = pyo.Objective(expr=lower(v, w), sense=senses[1])
    for block, rows in ((m.leader, leader_rows), (m.follower, follower_rows)):
        block.row = pyo.ConstraintList()
        for row in rows:
            block.row.add(row(v, w))
    return order(m, m.leader)


def storage(A1, A2, Z1, Z2, B, K, F, I, N, owner="merchant"):  # noqa: E741
    """Two-period storage of size k (all discharged in period 2) before N Cournot generators."""
    m = pyo.ConcreteModel()
    m.storage = pyo.Block()
    m.storage.k = pyo.Var(bounds=(0, None))
    m.generator = pyo.Block(range(N))
    for n in range(N):
        m.generator[n].output = pyo.Var([1, 2], bounds=(0, None))
    k = m.storage.k
    total = {t: sum(m.generator[n].output[t] for n in range(N)) for t in (1, 2)}
    q = {1: total[1] - F * k, 2: total[2] + k}
    price = {1: A1 - Z1 * q[1], 2: A2 - Z2 * q[2]}
    for n in range(N):
        g = m.generator[n].output
        profit = sum(price[t] * g[t] - B * g[t] - N * K * g[t] ** 2 / 2 for t in (1, 2))
        m.generator[n].profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    cost = sum(
        B * m.generator[n].output[t] + N * K * m.generator[n].output[t] ** 2 / 2 for n in range(N) for t in (1, 2)
    )
    if owner == "merchant":
        gain = k * (price[2] - F * price[1]) - I * k**2 / 2
    else:
        gain = A1 * q[1] - Z1 * q[1] ** 2 / 2 + A2 * q[2] - Z2 * q[2] ** 2 / 2 - cost - I * k**2 / 2
    m.storage.gain = pyo.Objective(expr=gain, sense=pyo.maximize)
    return order(m, m.storage)


def pool(price_bounds=(None, None)) -> pyo.ConcreteModel:
    """K17: capacity x of a leader's plant at 40,000 a unit, sold for 8,760 hours at the price of a pool with rivals."""
    m = pyo.ConcreteModel()
    m.leader = pyo.Block()
    m.leader.x = pyo.Var(bounds=(0, 250))
    m.price = pyo.Var()
    m.plant = pyo.Block([1, 2, 3])
    cost, capacity = {1: 10, 2: 12, 3: 15}, {1: m.leader.x, 2: 150, 3: 100}
    for i in m.plant:
        b = m.plant[i]
        b.q = pyo.Var(bounds=(0, None))
        b.limit = pyo.Constraint(expr=b.q <= capacity[i])
        b.profit = pyo.Objective(expr=(m.price - cost[i]) * b.q, sense=pyo.maximize)
    m.balance = pyo.Constraint(expr=sum(m.plant[i].q for i in m.plant) == 200)
    profit = 8760 * (m.price - 10) * m.plant[1].q - 40000 * m.leader.x
    m.leader.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    return order(m, m.leader)


LOAD = (21.5, 20.6, 20.0, 19.7, 19.8, 20.6, 22.6, 25.4, 27.4, 28.2, 28.6, 28.8)
LOAD += (28.7, 28.3, 27.9, 27.8, 28.4, 30.1, 32.0, 32.6, 31.4, 29.0, 26.2, 23.6)
PRICE = (38, 35, 33, 32, 33, 36, 45, 58, 66, 65, 62, 60, 57, 54, 53, 55, 62, 78, 96, 102, 90, 70, 55, 45)
FIRMS = ((14, 0.9, 11), (20, 1.2, 9), (26, 1.6, 8), (40, 2.5, 6))


def day(hours=range(24), owner="merchant", power=6.0, efficiency=0.85) -> pyo.ConcreteModel:
    """A storage investor before four Cournot generators in every hour of a day (load in GW, price in $/MWh, elasticity
    0.5 at the reference point)."""
    H = list(hours)
    slope = {h: PRICE[h] / (0.5 * LOAD[h]) for h in H}
    intercept = {h: 3 * PRICE[h] for h in H}
    m = pyo.ConcreteModel()
    m.storage = s = pyo.Block()
    s.charge, s.discharge = pyo.Var(H, bounds=(0, power)), pyo.Var(H, bounds=(0, power))
    s.level, s.P, s.E = pyo.Var(H, bounds=(0, None)), pyo.Var(bounds=(0, power)), pyo.Var(bounds=(0, 6 * power))
    before = dict(zip(H, [H[-1], *H[:-1]], strict=True))
    s.cycle = pyo.Constraint(
        H, rule=lambda b, h: b.level[h] == b.level[before[h]] + efficiency * b.charge[h] - b.discharge[h]
    )
    s.rated = pyo.Constraint(H, [0, 1], rule=lambda b, h, i: (b.charge[h] if i else b.discharge[h]) <= b.P)
    s.room = pyo.Constraint(H, rule=lambda b, h: b.level[h] <= b.E)
    m.firm = pyo.Block(range(len(FIRMS)))
    for i, (_, _, cap) in enumerate(FIRMS):
        m.firm[i].g = pyo.Var(H, bounds=(0, cap))
    injection = {h: s.discharge[h] - s.charge[h] for h in H}
    q = {h: injection[h] + sum(m.firm[i].g[h] for i in m.firm) for h in H}
    price = {h: intercept[h] - slope[h] * q[h] for h in H}
    for i, (b, c, _) in enumerate(FIRMS):
        g = m.firm[i].g
        m.firm[i].profit = pyo.Objective(
            expr=sum((price[h] - b) * g[h] - c * g[h] ** 2 / 2 for h in H), sense=pyo.maximize
        )
    invested = 2 * s.P + 14 * s.E + 4 * s.P**2 / 2
    if owner == "merchant":
        gain = sum(injection[h] * price[h] for h in H)
    else:
        spent = sum(b * m.firm[i].g[h] + c * m.firm[i].g[h] ** 2 / 2 for i, (b, c, _) in enumerate(FIRMS) for h in H)
        gain = sum(intercept[h] * q[h] - slope[h] * q[h] ** 2 / 2 for h in H) - spent
    s.gain = pyo.Objective(expr=gain - invested, sense=pyo.maximize)
    return order(m, m.storage)


def bard() -> pyo.ConcreteModel:
    """Bard's linear bilevel: x = y = 4, cost -12."""
    return bilevel(
        [(None, None)],
        [(None, None)],
        lambda x, y: x[0] - 4 * y[0],
        lambda x, y: y[0],
        follower_rows=[
            lambda x, y: x[0] + y[0] >= 3,
            lambda x, y: y[0] <= 2 * x[0],
            lambda x, y: 2 * x[0] + y[0] <= 12,
            lambda x, y: 3 * x[0] - 2 * y[0] <= 4,
        ],
    )


def candler_townsley() -> pyo.ConcreteModel:
    """Candler and Townsley's linear bilevel: x = (0, 0.9), y = (0, 0.6, 0.4), cost -29.2."""
    return bilevel(
        [(0, None)] * 2,
        [(0, None)] * 3,
        lambda x, y: -8 * x[0] - 4 * x[1] + 4 * y[0] - 40 * y[1] - 4 * y[2],
        lambda x, y: y[0] + y[1] + 2 * y[2],
        follower_rows=[
            lambda x, y: -y[0] + y[1] + y[2] <= 1,
            lambda x, y: 2 * x[0] - y[0] + 2 * y[1] - y[2] / 2 <= 1,
            lambda x, y: 2 * x[1] + 2 * y[0] - y[1] - y[2] / 2 <= 1,
        ],
    )


def henderson_quandt() -> pyo.ConcreteModel:
    """The Stackelberg duopoly of Henderson and Quandt: x = 93.33, cost -3266.67."""
    return bilevel(
        [(0, 200)],
        [(0, None)],
        lambda x, y: x[0] ** 2 / 2 + x[0] * y[0] / 2 - 95 * x[0],
        lambda x, y: y[0] * (x[0] / 2 + y[0] - 100),
    )


SETS = {
    "S1": ((60, 110, 1, 1.2, 20, 0, 1.2, 0.5, 2), 4.42477876, 0.84033613),
    "S2": ((50, 120, 1, 1, 10, 0, 1.1, 0.1, 1), 13.85281385, 23.75478927),
    "S3": ((50, 100, 1, 1, 20, 0, 1, 0.2, 4), 10.0, 7.14285714),
    "S4": ((60, 110, 1, 1.2, 20, 0, 1.2, 0.5, 5), 2.17391304, 0.0),
    "S5": ((60, 110, 1, 1.2, 20, 0, 1.2, 0.5, 12), 0.0, 0.0),
    "S6": ((60, 110, 1, 1.2, 20, 0.8, 1.2, 0.5, 3), 4.79876161, 6.93908295),
    "S7": ((60, 140, 1, 1.2, 20, 0.8, 1.2, 0.5, 25), 8.46508118, 14.00171828),
    "S8a": ((5, 155, 1, 1, 30, 0, 1.1, 0.02, 4), 17.42957746, 28.59778598),
    "S8b": ((5, 165, 1, 1, 30, 0, 1.1, 0.02, 4), 32.63274336, 32.28782288),
    "S9": ((-20, 60, 0.2, 1, 50, 0, 1.1, 0.1, 3), 31.73374613, 61.10283159),
    "S10": ((22, 110, 1, 1, 20, 0, 1, 0.05, 3), 20.95238095, 31.42857143),
    "S11": ((60, 110, 1, 1.2, 20, 0.05, 1.2, 0.5, 3), 3.71001941, 0.0),
}
"""Name: (data, k of the merchant, k of a welfare maximiser) by enumeration of regimes, printed to 1e-8."""

SMALL = {"Bard": bard, "Candler-Townsley": candler_townsley, "Henderson-Quandt": henderson_quandt, "pool": pool}
"""Name: maker of small bilevels from the literature."""
