#!/usr/bin/env python3
"""A small stand-in for Ollama, Groq or Gemini that translates their API to a real llama-server.

  standin.py --provider ollama --port 11434 --backend http://127.0.0.1:8080 --models deepseek-r1:1.5b=1100000000

Its text, counts and times are llama-server's, streamed as they arrive. See standins/server.py for faults and counters,
and README.md for what is simulated.
"""

import argparse
import importlib
import sys

from standins.server import Standin
from standins.words import Backend

CLASSES = {"ollama": "Ollama", "groq": "Groq", "gemini": "Gemini"}
OWN_MODELS = {"ollama": "edge-tiny=1905152", "groq": "llama-3.3-70b-versatile,openai/gpt-oss-20b",
              "gemini": "gemini-2.5-flash,gemini-2.0-flash,gemini-embedding-001"}


def sizes(text):
    """NAME[=BYTES],...; in bytes, or with the suffix K, M or G."""
    made = {}
    for part in filter(None, text.split(",")):
        name, _, size = part.partition("=")
        scale = {"K": 10**3, "M": 10**6, "G": 10**9}.get(size[-1:], 0)
        made[name] = int(float(size[:-1]) * scale) if scale else int(size or 1_905_152)
    return made


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", required=True, choices=sorted(CLASSES))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free port, which is printed")
    parser.add_argument("--backend", required=True, help="llama-server, started with --embeddings --pooling mean")
    parser.add_argument("--models", help="NAME[=BYTES],...: the models that it offers (with sizes: Ollama)")
    parser.add_argument("--key", default="stand-in-key", help="the valid key (Groq, Gemini)")
    parser.add_argument("--token-ms", type=float, default=0, help="a pause after each piece")
    parser.add_argument("--ignore-eos", action="store_true", help="generate until max_tokens or the end of the context")
    ollama = parser.add_argument_group("Ollama")
    ollama.add_argument("--library", default="", help="NAME=BYTES,...: models that can be pulled")
    ollama.add_argument("--most-loaded", type=int, default=0, help="maximum number of loaded models; 0: no limit")
    ollama.add_argument("--load-ms", type=float, default=0, help="time to load a model")
    ollama.add_argument("--num-ctx", type=int, default=4096, help="the context of a request without num_ctx")
    ollama.add_argument("--pull-bytes-per-s", type=float, default=0, help="0: at once")
    groq = parser.add_argument_group("Groq, Gemini")
    groq.add_argument("--requests", type=int, default=14400, help="requests in a window, before 429")
    groq.add_argument("--window-s", type=float, default=86400)
    return parser.parse_args()


def main():
    args = options()
    module = importlib.import_module(f"standins.{args.provider}")
    own = {"models": sizes(args.models or OWN_MODELS[args.provider]), "library": sizes(args.library), "key": args.key}
    provider = getattr(module, CLASSES[args.provider])(Backend(args.backend), own)
    settings = {"token_ms": args.token_ms, "ignore_eos": args.ignore_eos}
    if args.provider == "ollama":
        settings.update(most_loaded=args.most_loaded, load_ms=args.load_ms, num_ctx=args.num_ctx,
                        pull_bytes_per_s=args.pull_bytes_per_s, pull_hold=None)
    else:
        settings.update(requests=args.requests, window_s=args.window_s)
    Standin(provider, settings).serve(args.host, args.port)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
