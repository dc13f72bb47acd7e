"""States systems of interconnected countries in linopy and solves them: one line of JSON in, one out.

In: the folder of the tables, the reading, options of HiGHS. Out: seconds of stating and of all (wall-clock, processor),
status, cost, and the price of every country and hour.
"""

import json
import os
import sys
import time

import linopy
import numpy as np
import pandas as pd
import xarray as xr


def netted(plants, links, load):
    """Plants sell at home, flows connect the countries: (model, balance)."""
    m = linopy.Model()
    place = pd.Index([f"{n} {t}" for n, t in plants.index], name="plant")
    line = pd.Index([f"{i} {j}" for i, j in links.index], name="line")
    hours, countries = load.columns.rename("hour"), load.index.rename("country")
    a, b = (xr.DataArray(plants[k].to_numpy(), coords=[place]) for k in ("intercept", "slope"))
    limit = xr.DataArray(plants["capacity"].to_numpy(), coords=[place])
    cap, toll = (xr.DataArray(links[k].to_numpy(), coords=[line]) for k in ("capacity", "toll"))
    output = m.add_variables(lower=0, upper=limit.expand_dims(hour=hours).transpose("plant", "hour"), name="output")
    flow = m.add_variables(lower=0, upper=cap.expand_dims(hour=hours).transpose("line", "hour"), name="flow")
    home = xr.DataArray([n for n, _ in plants.index], coords=[place], name="country")
    out = xr.DataArray([i for i, _ in links.index], coords=[line], name="country")
    into = xr.DataArray([j for _, j in links.index], coords=[line], name="country")
    supply = output.groupby(home).sum() + flow.groupby(into).sum() - flow.groupby(out).sum()
    m.add_constraints(supply == xr.DataArray(load.to_numpy(), coords=[countries, hours]), name="balance")
    m.add_objective((a * output).sum() + (0.5 * b * output * output).sum() + (toll * flow).sum())
    return m


def by_destination(plants, links, load, split):
    """Plants sell by destination, at a cost for each (split) or one of their output."""
    m = linopy.Model()
    goals = {n: [n] + [j for i, j in links.index if i == n] for n in load.index}
    sales = [(n, t, j) for n, t in plants.index for j in goals[n]]
    hours, countries = load.columns.rename("hour"), load.index.rename("country")
    sale = pd.Index([" ".join(s) for s in sales], name="sale")
    place = pd.Index([f"{n} {t}" for n, t in plants.index], name="plant")
    line = pd.Index([f"{i} {j}" for i, j in links.index], name="line")
    a, b = (xr.DataArray([plants.at[(n, t), k] for n, t, _ in sales], coords=[sale]) for k in ("intercept", "slope"))
    toll = xr.DataArray([0.0 if n == j else links.at[(n, j), "toll"] for n, _, j in sales], coords=[sale])
    sold = m.add_variables(lower=0, coords=[sale, hours], name="sales")
    who = xr.DataArray([f"{n} {t}" for n, t, _ in sales], coords=[sale], name="plant")
    goal = xr.DataArray([j for _, _, j in sales], coords=[sale], name="country")
    limit = xr.DataArray(plants["capacity"].to_numpy(), coords=[place])
    m.add_constraints(
        sold.groupby(goal).sum() == xr.DataArray(load.to_numpy(), coords=[countries, hours]), name="balance"
    )
    abroad = [k for k, (n, _, j) in enumerate(sales) if n != j]
    way = xr.DataArray([f"{sales[k][0]} {sales[k][2]}" for k in abroad], coords=[sale[abroad]], name="line")
    cap = xr.DataArray(links["capacity"].to_numpy(), coords=[line])
    m.add_constraints(sold.isel(sale=abroad).groupby(way).sum() <= cap, name="links")
    cost = ((a + toll) * sold).sum()
    if split:
        m.add_constraints(sold.groupby(who).sum() <= limit, name="capacity")
        m.add_objective(cost + (0.5 * b * sold * sold).sum())
        return m
    output = m.add_variables(lower=0, upper=limit.expand_dims(hour=hours).transpose("plant", "hour"), name="output")
    m.add_constraints(sold.groupby(who).sum() - output == 0, name="output")
    slope = xr.DataArray(plants["slope"].to_numpy(), coords=[place])
    m.add_objective(cost + (0.5 * slope * output * output).sum())
    return m


def answer(path, reading, options):
    """What was found, with the seconds of each step."""
    plants = pd.read_csv(f"{path}/plants.csv", index_col=[0, 1])
    links = pd.read_csv(f"{path}/links.csv", index_col=[0, 1])
    load = pd.read_csv(f"{path}/inelastic_demand.csv", index_col=[0, 1])["quantity"].unstack("hour")
    began, cpu = time.perf_counter(), time.process_time()
    m = (
        netted(plants, links, load)
        if reading == "netted"
        else by_destination(plants, links, load, reading == "separable")
    )
    stated = time.perf_counter()
    status, condition = m.solve("highs", io_api="direct", **options)
    ended, spent = time.perf_counter(), time.process_time() - cpu
    prices = m.constraints["balance"].dual.transpose("country", "hour")
    return {
        "state": stated - began,
        "wall": ended - began,
        "cpu": spent,
        "status": f"{status}, {condition}",
        "cost": float(m.objective.value),
        "price": np.asarray(prices).tolist() if status == "ok" else None,
    }


def main():
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            told = answer(asked["path"], asked["reading"], asked["options"])
        except Exception as error:
            told = {"status": f"{type(error).__name__}: {error}"}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
