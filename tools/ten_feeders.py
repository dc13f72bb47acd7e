"""Writes the tables of the case ``data/local_flexibility/ten_feeders``: no random numbers, every run gives the same.

    python tools/ten_feeders.py [FOLDER [FEEDERS [VEHICLES]]]

96 quarter-hours from noon. Feeder f: load (40 + 5 f) kW times a daily shape with an evening peak, rating 100 + 5 f kW.
Vehicle i charges at feeder i mod 10; half of the vehicles take the cheapest steps of their window, the others charge on
arrival. With more feeders, feeder f is like feeder f mod 10 and vehicle i stands at feeder i mod FEEDERS. Scenarios:
``base``; ``truthful`` without mark-ups; ``dominant``, in which aggregator 0 holds twelve of the sixteen portfolios (374
of 500 vehicles); ``tight``, the same with ratings 15 kW lower.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

STEPS, DURATION = 96, 0.25
HOLDERS = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9)  # aggregator of each portfolio
MARKUPS = (0.25, 0.15, 0.10, 0.05, 0.05, 0.02, 0.02, 0.0, 0.0, 0.0)  # EUR/kWh
SCENARIOS = ("base", "truthful", "dominant", "tight")
CHARGERS = (11, 11, 7.4, 3.7)  # kW
HOURS = [(12 + DURATION * h) % 24 for h in range(STEPS)]
NAMES = [f"{int(hour):02d}:{round(hour % 1 * 60):02d}" for hour in HOURS]
PRICES = [
    round(
        max(
            0.005,
            0.11 + 0.055 * math.cos(2 * math.pi * (hour - 19) / 24) + 0.03 * math.cos(4 * math.pi * (hour - 8) / 24),
        ),
        4,
    )
    for hour in HOURS
]


def vehicle(i: int) -> tuple[int, int, int, float, float, dict[int, float]]:
    """(portfolio, arrival, departure, energy kWh, charger kW, plan: step to kWh) of vehicle i."""
    k = i // 10
    arrival, departure = 16 + (37 * i + 5 * k) % 16, 76 + (53 * i + 3 * k) % 12
    energy, charger = 6 + (29 * i) % 13, CHARGERS[(11 * i + k) % 4]
    window = list(range(arrival, departure))
    if k % 2 == 0:
        window.sort(key=lambda step: (PRICES[step], step))
    plan, left = {}, float(energy)
    for step in window:
        if left <= 0:
            break
        plan[step] = min(left, charger * DURATION)
        left = round(left - plan[step], 9)
    return (7 * i + k) % 16, arrival, departure, energy, charger, plan


def load(feeder: int, hour: float) -> float:
    """Inflexible load of a feeder at an hour of the day, kW."""
    shape = 0.35 + 0.55 * math.exp(-(((hour - 19) / 2.5) ** 2)) + 0.25 * math.exp(-(((hour - 8) / 1.5) ** 2))
    return round((40 + 5 * (feeder % 10)) * shape, 3)


def write(folder: Path, feeders: int = 10, vehicles: int = 500) -> None:
    """Write all tables of the case but ``case.toml``, ``alternatives.csv`` and ``expected.csv``."""
    folder.mkdir(parents=True, exist_ok=True)

    def table(name: str, header: list[str], rows: list[list[object]]) -> None:
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([header, *rows])

    places, fleet = range(feeders), [(i, vehicle(i)) for i in range(vehicles)]
    table("parameters", ["name", "value", "unit", "source"], [["alternative_cost", 10, "EUR/kWh", "constructed"]])
    rows = [[name, DURATION, price] for name, price in zip(NAMES, PRICES, strict=True)]
    table("periods", ["period", "duration [h]", "price [EUR/kWh]"], rows)
    rows = [[s, f"f{f}", 100 + 5 * (f % 10) - (15 if s == "tight" else 0)] for s in SCENARIOS for f in places]
    table("feeders", ["scenario", "feeder", "rating [kW]"], rows)
    table("days", ["scenario", "day", "probability [1]"], [[s, "day", 1] for s in SCENARIOS])
    rows = [["day", f"f{f}", n, load(f, hour)] for f in places for n, hour in zip(NAMES, HOURS, strict=True)]
    table("loads", ["day", "feeder", "period", "load [kW]"], rows)
    rows = [[s, f"a{a}", 0 if s == "truthful" else m] for s in SCENARIOS for a, m in enumerate(MARKUPS)]
    table("aggregators", ["scenario", "aggregator", "markup [EUR/kWh]"], rows)
    rows = [
        [s, f"p{p}", f"a{0 if s in ('dominant', 'tight') and p < 12 else holder}"]
        for s in SCENARIOS
        for p, holder in enumerate(HOLDERS)
    ]
    table("portfolios", ["scenario", "portfolio", "aggregator"], rows)
    rows = [
        [f"v{i}", f"f{i % feeders}", f"p{p}", charger, energy, NAMES[first], NAMES[last]]
        for i, (p, first, last, energy, charger, _) in fleet
    ]
    header = ["vehicle", "feeder", "portfolio", "charger [kW]", "energy [kWh]", "arrival", "departure"]
    table("vehicles", header, rows)
    rows = [[f"v{i}", NAMES[step], kwh] for i, parts in fleet for step, kwh in sorted(parts[-1].items())]
    table("charging", ["vehicle", "period", "energy [kWh]"], rows)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    target = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "data/local_flexibility/ten_feeders"
    write(target, *(int(number) for number in arguments[1:]))
