"""`README.md` of a release: the dataset card, with the YAML that hubs read."""

import json
from pathlib import Path

from pipeline.release.facts import COMMUNITY, FORBIDDEN, INTENDED, TOLD, ReleaseFacts

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FIELDS = ("Name", "Organisation", "Country", "What you will use it for")
AGREED = "I will use it for the intended uses only, and delete what is revoked"


def write_card(facts: ReleaseFacts, folder: Path) -> None:
    """Front matter, then what people ask first."""
    parts = [_front_matter(facts), _head(facts), _uses(facts), _licences(facts), _columns(facts), _checks(facts)]
    if facts.tier == "recipe":
        parts.append(_again(facts))
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _front_matter(facts: ReleaseFacts) -> str:
    """YAML whose values are JSON, which YAML is a superset of: no text of a run can break out of its place."""
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in facts.counts]
    values: dict[str, object] = {"license": facts.licence}
    if facts.licence == "other":
        values["license_name"] = "several"
        values["license_link"] = "README.md"
    values |= {
        "pretty_name": facts.name,
        "size_categories": [next((name for limit, name in SIZES if facts.total < limit), "n>1M")],
        "tags": ["hazmat", "safety", "text-to-image", "synthetic", facts.tier],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    if facts.gated:
        values |= {
            "extra_gated_prompt": "Intended: " + "; ".join(INTENDED) + ". Forbidden: " + "; ".join(FORBIDDEN) + ".",
            "extra_gated_fields": {**dict.fromkeys(FIELDS, "text"), AGREED: "checkbox"},
        }
        if facts.restricted:
            values["viewer"] = False  # it would show what may be hazardous to whoever passes by
    lines = (f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join(("---", *lines, "---"))


def _head(facts: ReleaseFacts) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in facts.counts.items())
    return (
        f"# {facts.name}\n\nPairs of a prompt and a picture, made by Hazmat for the safety of text-to-image systems. This is the "
        f"tier `{facts.tier}`: {TOLD[facts.tier]}. {facts.total:,} rows: {counts}.\n\n"
        + ("" if facts.words else "The run was restricted: prompts and other words are left out.\n\n")
        + f'```python\nimport datasets\n\nrows = datasets.load_dataset("{facts.name}")  # this folder, or its id on a hub\n```'
    )


def _uses(facts: ReleaseFacts) -> str:
    def listed(lines: tuple[str, ...]) -> str:
        return "\n".join(f"- {line}" for line in lines)

    contact = COMMUNITY if facts.contact == COMMUNITY else _cell(facts.contact)
    return (
        f"## Intended use\n\n{listed(INTENDED)}\n\n## Forbidden use\n\n{listed(FORBIDDEN)}\n\n## Revocation\n\n"
        f"Write to {contact} and name the `key` of the sample. What is revoked is in no later version; delete it from yours."
    )


def _licences(facts: ReleaseFacts) -> str:
    rows = "\n".join(f"| {part.what} | {_cell(part.name)} | {_cell(part.licence)} |" for part in facts.licences)
    return (
        "## Licences\n\nAs rows and model cards say. `NOASSERTION`: nobody says; ask whoever answers for it before you use it.\n\n"
        f"| part | name | licence |\n|---|---|---|\n{rows}"
    )


def _columns(facts: ReleaseFacts) -> str:
    rows = "\n".join(f"| `{column.name}` | {column.says} |" for column in facts.columns)
    return f"## Columns\n\n| column | what it says |\n|---|---|\n{rows}"


def _checks(facts: ReleaseFacts) -> str:
    return (
        "## Integrity\n\n`sha256sum --check SHA256SUMS` checks every file. `croissant.json` describes them (Croissant 1.1, "
        f"with the vocabulary for responsible AI). Published on {facts.published} of a run whose root digest was `{facts.root}`."
    )


def _again(facts: ReleaseFacts) -> str:
    return (
        "## Make the pictures again\n\nWith Hazmat, at the revision that made the run, and the models that `recipe/round.json` "
        f"names by digest:\n\n```bash\njobs/regenerate.py --from {facts.name} --verify\n```\n\nEvery picture's bytes are compared "
        "with `image_sha256` where versions and hardware are those of `recipe/receipts`, else its look with `phash`."
    )


def _cell(text: str) -> str:
    """A value in a table or a sentence: nothing in it is Markdown or HTML."""
    return "`" + text.replace("`", "'").replace("|", "/").replace("\n", " ")[:200] + "`"
