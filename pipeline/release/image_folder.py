"""`images/SPLIT/KEY.png` with `metadata.jsonl`: the layout that `datasets` calls ImageFolder, and that any program can read."""

import json
from pathlib import Path

from pipeline.release.rows import PLACE, ReleaseRows
from pipeline.release.tables import PICTURE_ROWS


def write_image_folder(rows: ReleaseRows, folder: Path) -> None:
    """All splits below `folder`/images; the first two letters of a key are a folder, so that none holds a million files."""
    for split in rows.counts():
        place = folder / "images" / split
        place.mkdir(parents=True)
        with (place / "metadata.jsonl").open("w", encoding="utf-8") as lines:
            for batch in rows.batches(split, PICTURE_ROWS):
                for row, data in zip(batch.drop_columns(list(PLACE)).to_pylist(), rows.pictures(batch), strict=True):
                    name = f"{row['key'][:2]}/{row['key']}.{row['format']}"
                    (place / name).parent.mkdir(exist_ok=True)
                    (place / name).write_bytes(data)
                    lines.write(json.dumps({"file_name": name, **row}, ensure_ascii=False) + "\n")
