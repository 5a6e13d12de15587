"""Stand-ins for Ollama, Groq and Gemini in front of a real llama-server (tests/llm/standin.py)."""

import llama
from support import Api, free_port, wait_until

KEY = "stand-in-key"


class StandIn:
    """`options`: those of standin.py, with _ for -."""

    def __init__(self, fleet, provider, server, **options):
        self.provider = provider
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        arguments = [part for name, value in options.items() for part in
                     ([f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", value])]
        self.process = fleet.start(f"standin-{provider}", [
            "python3", "-B", llama.HERE / "standin.py", "--provider", provider, "--port", self.port, "--backend", server.url,
            "--key", KEY, *arguments])
        self.api = Api(self.port)
        fleet.apis.append(self.api)
        wait_until(lambda: fleet.listening(self.port), what=f"the stand-in for {provider} listens")

    def fault(self, kind, **more):
        """See standins/server.py for the kinds."""
        return self.api.good("POST", "/standin/fault", {"kind": kind, **more})

    def set(self, **settings):
        return self.api.good("POST", "/standin/set", settings)

    def seen(self, what=None):
        """Counters; `what`: one of them."""
        seen = self.api.good("GET", "/standin/seen")
        return seen if what is None else seen[what]
