"""A small MQTT 5 client that waits for each answer and returns its reason code, also for what a broker forbids."""

import contextlib
import select
import socket
import ssl
import struct

RESPONSE_TOPIC = 8
ALLOWED = (0, 16)  # 16: nobody is subscribed
FORBIDDEN = 135
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


class Refused(Exception):
    """The broker has answered CONNECT with this reason code."""

    def __init__(self, reason):
        super().__init__(f"CONNACK {reason}")
        self.reason = reason


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("!H", len(data)) + data


def length(value):
    data = b""
    while True:
        value, digit = divmod(value, 128)
        data += bytes([digit | (128 if value else 0)])
        if not value:
            return data


def forget_tls_errors():
    """Python 3.13 leaves the error of a failed write in OpenSSL's queue, which is one for all connections of a thread: the
    next read, of whichever, would raise it again. A setting that fails clears the queue."""
    with contextlib.suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none of this name")


class Client:
    """Connected once it is made. `tls`: an ssl.SSLContext. A TLS handshake that fails is an OSError, here or later: with
    TLS 1.3, the server refuses a certificate after the client's side of the handshake has ended."""

    def __init__(self, port, tls=None, client_id="", user=None, key=None, will=None, timeout=10):
        self.buffer = b""
        self.messages = []  # (topic, payload, retained)
        self.last_id = 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
            self.connect(client_id, user, key, will)
        except BaseException:
            self.socket.close()
            raise

    def connect(self, client_id, user, key, will):
        flags, payload = 2, text(client_id)  # clean start
        if will:
            flags |= 4 | 1 << 3  # QoS 1
            payload += b"\0" + text(will[0]) + text(will[1])
        if user is not None:
            flags |= 128
            payload += text(user)
        if key is not None:
            flags |= 64
            payload += text(key)
        self.send(CONNECT << 4, text("MQTT") + bytes([5, flags]) + struct.pack("!H", 60) + b"\0" + payload)
        body = self.answer(CONNACK)
        if body[1] != 0:
            raise Refused(body[1])

    # ---- packets

    def send(self, first, body):
        try:
            self.socket.sendall(bytes([first]) + length(len(body)) + body)
        except OSError:
            forget_tls_errors()
            raise

    def receive(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the broker has closed the connection")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def packet(self):
        first = self.receive(1)[0]
        size = shift = 0
        while True:
            digit = self.receive(1)[0]
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first, self.receive(size)

    def answer(self, kind):
        """The next packet of this kind; messages before it are kept."""
        while True:
            first, body = self.packet()
            if first >> 4 == kind:
                return body
            if first >> 4 == DISCONNECT:
                raise ConnectionError(f"DISCONNECT {body[0] if body else 0}")
            if first >> 4 == PUBLISH:
                self.take(first, body)

    def take(self, first, body):
        end = 2 + struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:end].decode(), body[end:]
        if first & 6:
            self.send(PUBACK << 4, rest[:2])
            rest = rest[2:]
        self.messages.append((topic, rest[1 + rest[0]:], bool(first & 1)))  # after the properties

    # ---- acts

    def next_id(self):
        self.last_id = self.last_id % 65535 + 1
        return struct.pack("!H", self.last_id)

    def publish(self, topic, payload=b"x", retain=False, response_topic=None):
        """The reason code of its PUBACK."""
        properties = b"" if response_topic is None else bytes([RESPONSE_TOPIC]) + text(response_topic)
        self.send(PUBLISH << 4 | 2 | int(retain), text(topic) + self.next_id() + length(len(properties)) + properties + payload)
        body = self.answer(PUBACK)
        return body[2] if len(body) > 2 else 0

    def subscribe(self, *filters):
        """The reason codes; a denied subscription is granted too, and delivers nothing."""
        self.send(SUBSCRIBE << 4 | 2, self.next_id() + b"\0" + b"".join(text(one) + b"\1" for one in filters))
        body = self.answer(SUBACK)
        return list(body[-len(filters):])

    def ping(self):
        """What the broker had for this client before is in `messages` afterwards."""
        self.send(PINGREQ << 4, b"")
        self.answer(PINGRESP)

    def taken(self):
        """The messages since the last call."""
        self.ping()
        messages, self.messages = self.messages, []
        return messages

    def alive(self):
        try:
            self.ping()
        except OSError:
            return False
        return True

    def closed(self, timeout):
        """Whether the broker ends the connection within this time."""
        readable, _, _ = select.select([self.socket], [], [], timeout)
        return bool(readable) and not self.alive()

    def vanish(self):
        """Ends the connection without a DISCONNECT: its will is sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.send(DISCONNECT << 4, b"")
        self.socket.close()
