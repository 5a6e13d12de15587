"""One HTTP connection that never repeats a request, so that every lost answer is noticed."""
import collections
import http.client
import json
import socket

Answer = collections.namedtuple("Answer", "status body")


class Lost(Exception):
    """No answer: it is unknown whether the request was carried out."""


class Http:
    def __init__(self, host, port, timeout, tls=None, key=None):
        """`tls`: a context, for a server after setup; `key`: of an access."""
        self.host, self.port, self.timeout, self.tls = host, port, timeout, tls
        self.credential = {"Authorization": f"Bearer {key}"} if key else {}
        self.connection = None

    def request(self, method, path, body=None):
        """The answer; raises Lost without one."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            if self.connection is None:
                self.connection = (
                    http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.tls) if self.tls
                    else http.client.HTTPConnection(self.host, self.port, timeout=self.timeout))
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            content_type = {"Content-Type": "application/json"} if data and data is not body else {}
            self.connection.request(method, path, data, {**content_type, **self.credential})
            response = self.connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError) as failure:
            self.close()
            raise Lost(f"{method} {path}: {failure!r}") from None
        if response.will_close:
            self.close()
        if "json" in (response.getheader("Content-Type") or ""):
            content = json.loads(content)
        return Answer(response.status, content)

    def try_request(self, method, path, body=None):
        try:
            return self.request(method, path, body)
        except Lost:
            return None

    def good(self, method, path, body=None):
        answer = self.request(method, path, body)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
