"""The description of a zoo for data set search engines and loaders: Croissant 1.0, JSON-LD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

_CONFORMS = "http://mlcommons.org/croissant/1.0"
# The terms of the specification that are used here.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
# The specification asks for this text in place of the checksum of a repository.
_NO_SUM = "https://github.com/mlcommons/croissant/issues/80"


def describe(
    tables: Mapping[str, pl.DataFrame],
    files: Mapping[str, str],
    keys: Mapping[str, list[str]],
    *,
    url: str,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON-LD of a repository at `url` whose `files` (patterns) contain `tables`.

    `keys` are the columns that identify rows; `about` are further properties of schema.org/Dataset.
    """
    repository = {
        "@type": "cr:FileObject",
        "@id": "repo",
        "name": "repo",
        "description": "The repository on the Hugging Face hub.",
        "contentUrl": url,
        "encodingFormat": "git+https",
        "sha256": _NO_SUM,
    }
    sets = [
        {
            "@type": "cr:FileSet",
            "@id": f"{name}-files",
            "name": f"{name}-files",
            "description": f"The table of {name}.",
            "containedIn": {"@id": "repo"},
            "encodingFormat": "application/x-parquet",
            "includes": pattern,
        }
        for name, pattern in files.items()
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        "url": url,
        **about,
        "distribution": [repository, *sets],
        "recordSet": [_records(name, table, keys[name]) for name, table in tables.items()],
    }


def _records(name: str, table: pl.DataFrame, key: list[str]) -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "dataType": _kind(kind),
            "source": {"fileSet": {"@id": f"{name}-files"}, "extract": {"column": column}},
        }
        for column, kind in table.schema.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "key": [{"@id": f"{name}/{column}"} for column in key],
        "field": fields,
    }


def _kind(kind: pl.DataType) -> str:
    if kind.is_integer():
        return "sc:Integer"
    if kind.is_float():
        return "sc:Float"
    return "sc:Boolean" if kind == pl.Boolean else "sc:Text"
