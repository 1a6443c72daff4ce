"""`croissant.json`: the release in MLCommons' Croissant 1.1, with the RAI vocabulary 1.0, as JSON-LD.

The format: docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and croissant-rai-spec.html.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.release.checksums import digest_of
from pipeline.release.facts import FORBIDDEN, INTENDED, TOLD, ReleaseFacts

NAME = "croissant.json"
PARQUET = "application/x-parquet"
_OWN = (
    "arrayShape citeAs column conformsTo containedIn equivalentProperty extract field fileProperty fileObject fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate "
    "separator source subField transform"
)
"""Terms of Croissant itself."""
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in _OWN.split()},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}


def write_croissant(facts: ReleaseFacts, folder: Path, files: list[Path]) -> None:
    """Of the Parquet `files` in the release's `folder`."""
    whole = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.name,
        "description": f"Pairs of a prompt and a picture, made by Hazmat. Tier {facts.tier}: {TOLD[facts.tier]}.",
        "version": "1.0.0",
        "datePublished": facts.published.isoformat(),
        "license": sorted({part.licence for part in facts.licences}),
        "url": "https://huggingface.co/datasets/" + facts.name,
        "creator": {"@type": "Organization", "name": facts.contact},
        "citeAs": f"{facts.name}, of a Hazmat run with the root digest {facts.root}",
        "isLiveDataset": False,
        **_responsible(facts),
        "distribution": [*(_file(path, folder) for path in files), _files()],
        "recordSet": [_records(facts, pq.read_schema(files[0]))],
    }
    (folder / NAME).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _responsible(facts: ReleaseFacts) -> dict[str, Any]:
    """The RAI vocabulary: how it came about, what for, and who may be hurt."""
    labellers = [part.name for part in facts.licences if part.what == "labeller"]
    generators = [part.name for part in facts.licences if part.what == "generator"]
    return {
        "rai:dataCollection": "Synthetic: a program drew every picture from a prompt, a seed and settings, which its row names.",
        "rai:dataCollectionType": ["Software Collection"],
        "rai:dataUseCases": list(INTENDED),
        "rai:dataLimitations": [
            *(f"Not for: {use}" for use in FORBIDDEN),
            "Pictures of a generator are no sample of pictures that people make.",
        ],
        "rai:dataBiases": f"Those of the sources of the prompts, and of the generators {', '.join(generators) or 'none'}.",
        "rai:dataAnnotationProtocol": "Labels are derived from votes; every vote names its judge, policy and version.",
        "rai:machineAnnotationTools": labellers,
        "rai:dataSocialImpact": "Helps to keep hazardous pictures from being made or seen; misused, it shows what passes filters.",
        "rai:personalSensitiveInformation": ["None is collected; pictures of people, if any, are synthetic."],
        "rai:dataReleaseMaintenancePlan": f"Revocations: {facts.contact}. What is revoked is in no later version.",
    }


def _file(path: Path, folder: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": path.name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": PARQUET,
        "sha256": digest_of(path),
    }


def _files() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": "rows",
        "name": "rows",
        "encodingFormat": PARQUET,
        "includes": "data/*.parquet",
    }


def _records(facts: ReleaseFacts, schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/key"},
        "field": [_field(column.name, column.says, schema.field(column.name).type) for column in facts.columns],
    }


def _field(name: str, says: str, kind: pa.DataType) -> dict[str, Any]:
    field = {"@type": "cr:Field", "@id": f"samples/{name}", "name": name, "description": says}
    source: dict[str, Any] = {"fileSet": {"@id": "rows"}, "extract": {"column": name}}
    if name == "image":
        return {**field, "dataType": "sc:ImageObject", "source": {**source, "transform": {"jsonPath": "bytes"}}}
    if pa.types.is_list(kind):
        return {**field, "dataType": _data_type(kind.value_type), "source": source, "isArray": True, "arrayShape": "-1"}
    return {**field, "dataType": _data_type(kind), "source": source}


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
