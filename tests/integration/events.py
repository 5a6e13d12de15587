"""Reads the coordinator's server-sent events."""

import http.client
import json
import socket
import threading
from dataclasses import dataclass

from support import wait_until


@dataclass
class Event:
    id: str
    type: str
    data: dict


class Events:
    """One client that follows events in a thread. `connect`: makes a connection; `path`: with its query."""

    def __init__(self, connect, path="/api/v1/events", last_id=None, key=None):
        headers = {"Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self.connection = connect()
        self.connection.request("GET", path, headers=headers)
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.body = None if self.status == 200 else self.response.read()
        self.all = []
        self.comments = []
        self.last_id = last_id
        self.over = threading.Event()
        if self.status == 200:
            threading.Thread(target=self.read, daemon=True).start()
            wait_until(lambda: self.comments or self.all or self.over.is_set(), what="the first piece of the stream")

    def read(self):
        kind, data = "message", ""
        try:
            for line in iter(self.response.readline, b""):
                field, _, value = line.decode().rstrip("\n").partition(":")
                value = value.removeprefix(" ")
                if line == b"\n":
                    if data:
                        self.all.append(Event(self.last_id, kind, json.loads(data)))
                    kind, data = "message", ""
                elif field == "":
                    self.comments.append(value)
                elif field == "id":
                    self.last_id = value
                elif field == "event":
                    kind = value
                elif field == "data":
                    data += value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.connection.close()
        self.over.set()

    def of(self, kind):
        return [event for event in list(self.all) if event.type == kind]

    def states(self, task):
        return [event.data["state"] for event in self.of("task") if event.data["id"] == task]

    def wait_for(self, condition, what=None, timeout=None):
        wait_until(lambda: condition(self), timeout, what=what or (lambda: [str(event) for event in self.all[-20:]]))
        return self

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # the thread that reads closes it
        except OSError:
            pass
