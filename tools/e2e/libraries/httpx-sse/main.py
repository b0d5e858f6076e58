# Follows an event stream with httpx-sse and prints each message's n. httpx-sse leaves reconnecting to its caller.
import sys
import time

import httpx
from httpx_sse import connect_sse

last_id, delay = "", 1.0
with httpx.Client(timeout=httpx.Timeout(5, read=30)) as client:
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
                for event in source.iter_sse():
                    last_id = event.id
                    if event.retry is not None:
                        delay = event.retry / 1000
                    body = event.json()
                    if event.event == "message":
                        print(body["n"], flush=True)
        except httpx.TransportError as error:
            print(repr(error), file=sys.stderr)
        time.sleep(delay)
