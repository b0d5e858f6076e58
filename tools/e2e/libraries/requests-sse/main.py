# Follows an event stream with requests-sse, which reconnects by itself, and prints each message's n.
import json
import sys

from requests_sse import EventSource

with EventSource(sys.argv[1], timeout=30) as source:
    for event in source:
        body = json.loads(event.data)
        if event.type == "message":
            print(body["n"], flush=True)
