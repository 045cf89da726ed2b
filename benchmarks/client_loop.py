"""``python -m benchmarks.client_loop``: the bare client. It reads all contacts and counts them.

Nothing is checked, kept or written, so no tap in Python that reads page after page can be faster
than its way to the rows. With ``--ids`` it writes their ids, for whoever wants to compare.
"""

from __future__ import annotations

import os
import sys

import orjson
import requests


def main() -> None:
    """Follow the cursors."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['LEV_KEY']}"
    session.headers["X-Origin-App"] = "client-loop"
    url = f"{os.environ['LEV_URL']}/contacts"
    params = {"limit": "200"}
    ids: list[int] = []
    count = 0
    while True:
        answer = orjson.loads(session.get(url, params=params).content)
        count += len(answer["data"])
        if "--ids" in sys.argv:
            ids += [row["id"] for row in answer["data"]]
        if not answer["pagination"]["has_more"]:
            break
        params["cursor"] = answer["pagination"]["next_cursor"]
    print(orjson.dumps({"rows": count, "ids": ids}).decode())


if __name__ == "__main__":
    main()
