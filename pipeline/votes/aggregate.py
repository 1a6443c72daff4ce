"""Labels derived from all votes of a run."""

from pipeline.pack import parquet_bytes
from pipeline.rounds.ledger import recorded
from pipeline.storage.store import Store
from pipeline.votes.agreement import agreement_table
from pipeline.votes.labels import Policy, labels_of
from pipeline.votes.read import read_votes, sources_of
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH


def aggregate(store: Store, method: str) -> dict[str, object]:
    """Derive labels.parquet, and agreement.parquet if people voted."""
    votes, digest = read_votes(store)
    if votes.num_rows == 0:
        raise InputError(f"{store.url} holds no votes; run jobs/label.py {store.url} --labellers A,B first")
    policy = Policy(UNSAFEBENCH.name, UNSAFEBENCH.version, UNSAFEBENCH.ids)
    labels = labels_of(votes, method, policy, digest)
    agreement = agreement_table(votes, sources_of(store), policy.categories)
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
