"""Derived labels as columns: one row a sample with label and categories of each scope, whether or not there are labels yet."""

from pipeline.catalogue.duck import Connection, quoted
from pipeline.storage.store import Store
from schemas.catalogue import SCOPES

LABELS = "labels.parquet"


def label_columns(con: Connection, store: Store) -> None:
    """Create `labelled` (key, prompt_label, prompt_categories, image_label, …); empty where `labels.parquet` is not there."""
    con.execute(f"CREATE TABLE labelled AS {labels_wide(store)}")


def labels_wide(store: Store) -> str:
    """SQL of `labels.parquet` (key, scope, label, categories) with the scopes side by side."""
    if store.size(LABELS) is None:
        columns = ", ".join(f"NULL::VARCHAR AS {scope}_label, NULL::VARCHAR AS {scope}_categories" for scope in SCOPES)
        return f"SELECT NULL::VARCHAR AS key, {columns} WHERE false"
    columns = ", ".join(
        f"any_value(label) FILTER (scope = '{scope}') AS {scope}_label, "
        f"any_value(array_to_string(categories, ',')) FILTER (scope = '{scope}') AS {scope}_categories"
        for scope in SCOPES
    )
    return f"SELECT key, {columns} FROM read_parquet({quoted(f'{store.url}/{LABELS}')}) GROUP BY key"
