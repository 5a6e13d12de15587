"""Invalid payloads and bodies."""

BRACKETS = b"[" * 100_000
DEEP = b'{"a":' * 100_000
NOT_JSON = [
    b"", b" ", b"nonsense", b"{", b"}", b"[", b'{"a":}', b"{'a':1}", b'{"a":1,}', b'{"a":1}{', b"\x00", b"\xff\xfe\x00",
    b'{"session":"\xff\xfe"}', b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}', b'{"a":01}', b'{"a":1e999}', b'{"a":NaN}',
    b'{"a":"\x01"}', b'{"a":"\\ud800"}', BRACKETS, DEEP, BRACKETS + b"]" * 100_000, b'{"a":' + b"[" * 73 + b"]" * 73 + b"}",
]
WRONG_SHAPE = [b"null", b"true", b"0", b'"text"', b"[]", b"[1,2]", b"{}", b"[{}]", b'{"session":null}', b'{"session":{}}']
HUGE = b'{"a":"' + b"x" * 264_000 + b'"}'  # more than the protocol allows, less than the broker does
