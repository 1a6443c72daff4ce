"""Labels derived from all votes of a run."""

import pyarrow as pa

from pipeline.pack import parquet_bytes
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.rounds.ledger import recorded
from pipeline.storage.store import Store
from pipeline.votes.agreement import agreement_table
from pipeline.votes.labels import Policy, labels_of
from pipeline.votes.read import read_votes, sources_of
from schemas.errors import InputError
from schemas.taxonomy import Taxonomy


def derive(votes: pa.Table, method: str, votes_digest: str, taxonomy: Taxonomy) -> pa.Table:
    """The labels that the votes give under the taxonomy. Raises InputError for an unknown method."""
    return labels_of(votes, method, Policy(taxonomy.name, taxonomy.version, taxonomy.ids), votes_digest)


def aggregate(store: Store, method: str) -> dict[str, object]:
    """Derive labels.parquet, and agreement.parquet if people voted."""
    votes, digest = read_votes(store)
    if votes.num_rows == 0:
        raise InputError(f"{store.url} holds no votes; run jobs/label.py {store.url} --labellers A,B first")
    taxonomy = taxonomy_of(store)
    labels = derive(votes, method, digest, taxonomy)
    agreement = agreement_table(votes, sources_of(store), taxonomy.ids)
    with recorded(store, "labels.parquet", "agreement.parquet", by="jobs/label.py RUN --aggregate METHOD"):
        store.write("labels.parquet", parquet_bytes(labels))
        if agreement.num_rows:
            store.write("agreement.parquet", parquet_bytes(agreement))
    counts = labels.group_by(["scope", "label"]).aggregate([([], "count_all")]).to_pylist()
    return {
        "labels": f"{store.url}/labels.parquet",
        "votes": votes.num_rows,
        "annotators": len(votes["annotator"].unique()),
        **{
            f"{row['scope']} {row['label']}": row["count_all"]
            for row in sorted(counts, key=lambda r: (r["scope"], r["label"]))
        },
        "agreement_rows": agreement.num_rows,
    }
