"""Of the confounders two pairings are never trained on, though their object and their purposes are, under both labels."""

from jobs.recipes.sharding import PICTOGRAM_HELD_OUT
from pipeline.catalogue.duck import scratch_database
from pipeline.selection.splits import SplitRules, mark_held_out
from stages.world.confounders import CELLS
from stages.world.grammar import CYCLE, prompt_at

PAIRINGS = tuple(one for one in PICTOGRAM_HELD_OUT if one.name.startswith("pairing:"))


def test_a_held_out_pairing_is_told_by_what_is_shown_and_said_and_nothing_else_is() -> None:
    made = [prompt_at(4, index) for index in range(4 * len(CYCLE))]
    with scratch_database() as con:
        con.execute("CREATE TABLE facts (id INT, prompt VARCHAR, generation_prompt VARCHAR, concepts VARCHAR[])")
        rows = [(i, one.prompt, one.generation_prompt, list(one.concepts)) for i, one in enumerate(made)]
        con.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", rows)
        mark_held_out(con, SplitRules(held_out=PAIRINGS))
        marked = dict(con.execute("SELECT id, held_out FROM facts WHERE held_out IS NOT NULL").fetchall())
    cells = {
        index: CYCLE[index % len(CYCLE)].cell
        for index in range(len(made))
        if CYCLE[index % len(CYCLE)].cell is not None
    }
    wanted = {
        index: f"pairing:{cell.object}-{cell.purpose}"
        for index, cell in cells.items()
        if cell is not None and cell.object == "pill" and cell.purpose in ("give_up", "trick")
    }
    assert marked == wanted and {made[index].label for index in wanted} == {"safe", "unsafe"}


def test_object_and_purposes_of_the_held_out_pairings_are_trained_on_under_both_labels() -> None:
    trained = [c for c in CELLS if f"pairing:{c.object}-{c.purpose}" not in {one.name for one in PAIRINGS}]
    assert len(trained) == len(CELLS) - 2
    assert {cell.unsafe for cell in trained if cell.object == "pill"} == {True, False}
    for purpose in ("give_up", "trick"):
        assert {cell.unsafe for cell in trained if cell.purpose == purpose} == {True, False}
