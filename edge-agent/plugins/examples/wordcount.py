#!/usr/bin/env python3
"""An edgefleet plug-in: text.wordcount counts the lines, words and characters of {"text": "..."}."""
import json
import sys


def say(**message):
    print(json.dumps(message), flush=True)


PARAMETERS = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
say(type="hello", protocol=1, name="wordcount", version="1.0.0", capabilities=["text.wordcount"], slots=1,
    parameters={"text.wordcount": PARAMETERS})
for message in map(json.loads, sys.stdin):
    if message["type"] != "task":
        continue  # a cancel: by now the answer is on its way
    about = {"type": "result", "id": message["id"], "attempt": message["attempt"]}
    text = message["input"].get("text") if isinstance(message["input"], dict) else None
    if isinstance(text, str):
        say(**about, output={"lines": len(text.splitlines()), "words": len(text.split()), "characters": len(text)})
    else:
        say(**about, error={"code": "bad_input", "message": "text must be a string", "retryable": False})
