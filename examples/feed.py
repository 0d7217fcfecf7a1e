"""Brings the items of a JSON Feed into a group, each once, however often it runs: from cron, for example.

GOCHAT_TOKEN=... python examples/feed.py https://example.org/feed.json group:news
"""

import hashlib
import json
import os
import sys
import urllib.request

from gochat.client.sync import connect


def main(feed: str, group: str) -> None:
    with urllib.request.urlopen(feed, timeout=30) as answer:
        items = json.load(answer)["items"]
    with connect(os.environ["GOCHAT_URL"], token=os.environ["GOCHAT_TOKEN"]) as chat:
        for item in reversed(items):  # a feed has the newest first
            # The same key is the same message: the server knows which items it has, and nothing need be kept here.
            key = hashlib.sha256(f"{feed} {item['id']}".encode()).hexdigest()[:32]
            ack = chat.send(group, f"{item.get('title', '')}\n{item.get('url', '')}".strip(), key=key)
            if not ack.duplicate:
                print(item["id"])


main(*sys.argv[1:])
