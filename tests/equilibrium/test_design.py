"""Scenarios of a parameter study: from words, from study.toml and from study.csv; every fault named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from equilibrium.case import Case, read_case
from equilibrium.design import find_cell, from_words, values_of
from equilibrium.design_files import designs
from equilibrium.errors import DataError

STOCKHOLM = Path(__file__).parents[2] / "data" / "fdr_structures" / "stockholm"


@pytest.fixture
def case() -> Case:
    return read_case(STOCKHOLM)


@pytest.fixture
def with_file(tmp_path: Path) -> Callable[[str, str], Case]:
    def write(name: str, text: str) -> Case:
        shutil.copytree(STOCKHOLM, tmp_path / "case", dirs_exist_ok=True)
        (tmp_path / "case" / name).write_text(text, encoding="utf-8")
        return read_case(tmp_path / "case")

    return write


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1:4", [1, 2, 3, 4]),
        ("0:0.3:0.1", [0, 0.1, 0.2, 0.3]),
        ("150:161:5", [150, 155, 160]),
        ("3", [3]),
        ("1,2.5,-7", [1, 2.5, -7]),
        ("5:5", [5]),
    ],
)
def test_ranges(text: str, values: list[float]) -> None:
    assert values_of(text) == values, "decimal steps, not sums of rounded ones"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5:1", "empty"),
        ("1:5:0", "above zero"),
        ("1:5:-1", "above zero"),
        ("1:2:3:4", "must read like"),
        ("much", "must read like"),
        ("nan", "must read like"),
        ("1:inf", "must read like"),
        ("", "must read like"),
        ("0:1:1e-12", "at most"),
    ],
)
def test_ranges_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        values_of(text)


def test_cells_by_address_and_by_name(case: Case) -> None:
    assert find_cell(case, "demand.load[peak]").column.unit == "MWh"
    assert find_cell(case, "flexible_energy").name == "parameters.flexible_energy"
    assert find_cell(case, "aggregators").option == "aggregators"
    with pytest.raises(ValueError, match=r"name one of its cells: demand.load\[off-peak\]"):
        find_cell(case, "demand.load")
    with pytest.raises(ValueError, match=r"did you mean 'demand.load\[peak\]'"):
        find_cell(case, "demand.load[peek]")


def test_an_option_of_words_does_not_vary() -> None:
    case = read_case(STOCKHOLM.parent / "strategic_s1")
    for name in ("timing", "options.timing"):
        with pytest.raises(ValueError, match="is an option whose values are words; only numbers vary"):
            find_cell(case, name)


def test_an_option_may_be_what_some_structure_takes(case: Case) -> None:
    """One aggregator is too few for the structure with dispatch of its own, not for competition."""
    assert find_cell(case, "aggregators").elsewhere
    assert from_words(case, ["aggregators=1"]).size == 1


def test_a_sweep_is_every_combination(case: Case) -> None:
    design = from_words(case, ["aggregators=1:3", "demand.load[peak]=160,170"])
    assert design.values.tolist() == [[1, 160], [1, 170], [2, 160], [2, 170], [3, 160], [3, 170]]
    assert design.label(0) == "1"


def test_every_fault_of_a_sweep_is_named_at_once(case: Case) -> None:
    with pytest.raises(DataError) as error:
        from_words(
            case, ["aggregator=1:3", "flexible_energy=5:1", "half", "demand.load[peak]=1", "demand.load[peak]=2"]
        )
    assert len(error.value.faults) == 4


def test_a_value_outside_the_schema_names_the_scenario(case: Case) -> None:
    with pytest.raises(DataError, match=r"scenario 1: options.aggregators: below the range"):
        from_words(case, ["aggregators=0:3"])
    with pytest.raises(DataError, match=r"scenario 2: options.aggregators: not a whole number"):
        from_words(case, ["aggregators=1:3:0.5"])


def test_designs_of_a_case_folder(with_file: Callable[[str, str], Case]) -> None:
    case = with_file(
        "study.toml",
        """
        [energy]
        vary = { flexible_energy = "40:60:10", "demand.load[peak]" = [160, 170] }
        alternatives = ["efficient"]
        [cube]
        kind = "latin hypercube"
        vary = { flexible_energy = "40:60", dso_share = "0.4:0.6" }
        samples = 50
        seed = 3
        [each]
        kind = "one at a time"
        vary = { flexible_energy = "40:60:10", dso_share = [0.4, 0.5] }
        """,
    )
    found = designs(case)
    assert found["energy"].size == 6 and found["energy"].alternatives == ("efficient",)
    cube = found["cube"].values
    assert cube.shape == (50, 2) and (cube >= [40, 0.4]).all() and (cube <= [60, 0.6]).all()
    assert np.array_equal(cube, designs(case)["cube"].values), "the seed decides"
    assert sorted(np.floor((cube[:, 0] - 40) / 0.4)) == list(range(50)), "one sample in each of 50 layers"
    assert np.isnan(found["each"].values).sum() == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy = 3", "a study is a section"),
        ("[a]\nvary = { flexible_energy = '9:1' }", "empty"),
        ("[a]\nvari = { flexible_energy = '1:2' }", "did you mean 'vary'"),
        ("[a]\nkind = 'lattice'\nvary = { flexible_energy = '1:2' }", "no such kind"),
        ("[a]\nkind = 'latin hypercube'\nvary = { flexible_energy = '1:2' }", "needs from 1 to"),
        ("[a]\nvary = { flexible_energy = '40:41' }\nalternatives = ['efficent']", "did you mean 'efficient'"),
        (
            "[a]\nkind = 'threshold'\nvary = { flexible_energy = '40:41' }\nalternative = 'passive'",
            "whose sign changes",
        ),
        ("[a\n", "not valid TOML"),
    ],
)
def test_faults_of_study_toml(with_file: Callable[[str, str], Case], text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        designs(with_file("study.toml", text))


def test_a_list_of_named_scenarios(with_file: Callable[[str, str], Case]) -> None:
    case = with_file("study.csv", "scenario,flexible_energy,demand.load[peak]\ncold,55,180\nmild,,150\n")
    design = designs(case)["list"]
    assert design.labels == ("cold", "mild")
    assert design.values[0].tolist() == [55, 180] and np.isnan(design.values[1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenario,flexible_enery\na,55\n", "row 1, column 'flexible_enery'"),
        ("scenario,flexible_energy\na,5O\n", "row 2, column 'flexible_energy': not a number"),
        ("scenario,flexible_energy\na,50\na,60\n", "row 3, column 'scenario': the scenario stands twice"),
        ("name,flexible_energy\na,50\n", "must be called 'scenario'"),
        ("scenario,flexible_energy\n", "no scenario"),
    ],
)
def test_faults_of_study_csv(with_file: Callable[[str, str], Case], text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        designs(with_file("study.csv", text))
