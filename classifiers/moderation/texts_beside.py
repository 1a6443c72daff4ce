"""Pictures of a folder or tar and the texts that stand beside them under the same name: what WebDataset and photo tools write."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from classifiers.moderation.folder_walk import Entry
from classifiers.moderation.sources import Found, Item, PassedOver, found_in_entries
from classifiers.moderation.triage import HEAD, TAR, triage
from pipeline.storage.file_names import written_name
from pipeline.storage.store import Store, StoreError
from pipeline.storage.tar_members import members
from stages.prompts.text_lines import undecodable

BESIDE = ".txt"
MAX_TEXT = 1 << 16  # bytes of a prompt's file; prompts are refused at intake beyond 2,000 characters
WITHOUT_PROMPT = f"no prompt beside it: expected a file of its name that ends in {BESIDE}"
WITHOUT_PICTURE = "a prompt with no picture of its name beside it"

Place = tuple[str, int, int]
"""File of the store, offset, size."""


def pictures_with_texts(store: Store, entries: Sequence[Entry]) -> list[Found]:
    """What there is below `entries`: a picture has the text of its name as prompt, or is unreadable; a lone text is passed over."""
    pictures = found_in_entries(store, entries)
    texts = dict(_texts(store, entries))
    taken = {name for each in pictures if isinstance(each, Item) and (name := _name_of(each.key, texts)) is not None}
    pairs: list[Found] = []
    for each in pictures:
        if isinstance(each, Item):
            name = _name_of(each.key, texts)
            pairs.append(_said_by(store, each, None if name is None else texts[name]))
        elif each.key not in texts:
            pairs.append(each)
        elif each.key not in taken:
            pairs.append(PassedOver(each.key, WITHOUT_PICTURE))
    return pairs


def with_prompt(item: Item, text: object) -> Item:
    """The item with its prompt, or the reason why it has none."""
    if item.problem is not None:
        return item
    if not isinstance(text, str) or not text.strip():
        missing = text is None or isinstance(text, str)
        return replace(item, problem="the prompt is empty" if missing else "the prompt is no text")
    wrong = undecodable(text)
    return replace(item, prompt=text) if wrong is None else replace(item, problem=f"the prompt is undecodable: {wrong}")


def _texts(store: Store, entries: Iterable[Entry]) -> Iterator[tuple[str, Place]]:
    """Every .txt by its key, as `found_in_entries` names files and members."""
    for entry in entries:
        if entry.passed is not None or entry.problem is not None:
            continue
        try:
            size = store.size(entry.name) or 0
            if entry.name.lower().endswith(BESIDE):
                yield written_name(entry.name), (entry.name, 0, size)
            elif triage(entry.name, store.read_range(entry.name, 0, min(size, HEAD))).kind == TAR:
                with store.open(entry.name) as file:
                    inside = [each for each in members(file) if each.name.lower().endswith(BESIDE)]
                for each in inside:
                    if each.problem is None and each.passed is None:
                        key = f"{written_name(entry.name)}/{written_name(each.name)}"
                        yield key, (entry.name, each.offset, each.size)
        except (StoreError, OSError):
            continue  # `found_in_entries` has said so


def _name_of(key: str, texts: Mapping[str, Place]) -> str | None:
    """The text of a picture: its name but for the suffix, or (WebDataset) up to the first dot of its name."""
    folder, slash, name = key.rpartition("/")
    for stem in (name.rpartition(".")[0], name.partition(".")[0]):
        for suffix in (BESIDE, BESIDE.upper()):
            if stem and (wanted := f"{folder}{slash}{stem}{suffix}") in texts:
                return wanted
    return None


def _said_by(store: Store, item: Item, place: Place | None) -> Item:
    if item.problem is not None:
        return item
    if place is None:
        return replace(item, problem=WITHOUT_PROMPT)
    if place[2] > MAX_TEXT:
        return replace(item, problem=f"the prompt's file has {place[2]} bytes, more than {MAX_TEXT}")
    try:
        data = store.read_range(*place)
    except (StoreError, OSError) as error:
        return replace(item, problem=f"the prompt's file cannot be read ({error})")
    return with_prompt(item, data.decode("utf-8-sig", "surrogateescape").strip())
