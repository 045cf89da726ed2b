"""``python -m benchmarks.dlt_source``: dlt's ``rest_api`` source, the extract step alone.

dlt writes the rows to a file in a directory of its own, as it does before it normalizes and loads
them: compressed, unless its setting says otherwise. With ``--ids`` their ids are read back from
such a file, for whoever wants to compare.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import dlt
from dlt.sources.rest_api import rest_api_source

GZIP = b"\x1f\x8b"


def main() -> None:
    """Extract all contacts."""
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{os.environ['LEV_URL']}/",
                "auth": {"type": "bearer", "token": os.environ["LEV_KEY"]},
                "headers": {"X-Origin-App": "dlt"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "pagination.next_cursor",
                    "cursor_param": "cursor",
                },
            },
            "resources": [
                {
                    "name": "contacts",
                    "primary_key": "id",
                    "endpoint": {
                        "path": "contacts",
                        "params": {"limit": 200},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    with tempfile.TemporaryDirectory() as directory:
        pipeline = dlt.pipeline("lev", pipelines_dir=directory, destination="filesystem")
        counts = pipeline.extract(source).metrics
        rows = sum(
            metrics["table_metrics"]["contacts"].items_count
            for load in counts.values()
            for metrics in load
            if "contacts" in metrics["table_metrics"]
        )
        ids = _ids(Path(directory)) if "--ids" in sys.argv else []
    sys.stdout.write(json.dumps({"rows": rows, "ids": ids}, separators=(",", ":")))


def _ids(directory: Path) -> list[int]:
    files = [path.read_bytes() for path in directory.rglob("contacts.*.typed-jsonl*")]
    texts = [gzip.decompress(file) if file.startswith(GZIP) else file for file in files]
    return [row["id"] for text in texts for line in text.splitlines() for row in json.loads(line)]


if __name__ == "__main__":
    main()
