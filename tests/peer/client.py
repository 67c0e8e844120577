"""A client of the file transfer, written from jobs/PROTOCOL.md alone: logs in, puts a file, gets it back.

usage: client.py HOST:PORT ACCOUNT KEY put FILE FOLDER | get FOLDER PATTERN INTO
"""
import os, pathlib, socket, struct, sys

from blake3 import blake3, derive_key, keyed

HELLO, WELCOME, LOGIN, ACCEPTED, ERROR, KEEPALIVE, PUT, GET, READY, OFFER = range(1, 11)
ANSWER, PACK, DATA, END, ABANDON, ACK, SETTLED, FINISH, FINISHED = range(11, 20)
WANT, HELD, SKIP, HASH, REFUSED = range(5)
MAGIC, SMALL, BLOCK = b"procctlX", 64 << 10, 1 << 20


def text(value):
    return struct.pack("<H", len(value.encode())) + value.encode()


class Fields:
    def __init__(self, payload):
        self.payload, self.at = payload, 0

    def bytes(self, length):
        assert self.at + length <= len(self.payload), "a short frame"
        self.at += length
        return self.payload[self.at - length : self.at]

    def take(self, form):
        values = struct.unpack("<" + form, self.bytes(struct.calcsize("<" + form)))
        return values if len(values) > 1 else values[0]

    def text(self):
        return self.bytes(self.take("H")).decode()


class Link:
    def __init__(self, address, account, key):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.out = self.back = None
        hello = MAGIC + struct.pack("<HH", 1, 1) + os.urandom(32) + text(account)
        self.send(HELLO, hello)
        kind, welcome = self.receive()
        assert kind == WELCOME and welcome[:8] == MAGIC, "no welcome"
        root = derive_key("procctl file transfer v1 account key", key.strip().encode())
        said = b"".join(struct.pack("<Q", len(part)) + part for part in (hello, welcome, b""))
        root = keyed(root, said)
        self.send(LOGIN, keyed(root, b"client proof"))
        kind, accepted = self.receive()
        assert kind == ACCEPTED and accepted[:32] == keyed(root, b"server proof"), "not the server"
        self.out, self.back = [keyed(root, b"client frames"), 0], [keyed(root, b"server frames"), 0]

    def tag(self, seal, frame):
        seal[1] += 1
        return keyed(seal[0], struct.pack("<Q", seal[1] - 1) + frame)[:16]

    def send(self, kind, payload=b""):
        frame = struct.pack("<IBBH", len(payload), kind, 0, 0) + payload
        self.socket.sendall(frame + (self.tag(self.out, frame) if self.out and kind != DATA else b""))

    def exactly(self, length):
        data = bytearray()
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            assert piece, "the server closed the connection"
            data += piece
        return bytes(data)

    def receive(self):
        while True:
            header = self.exactly(8)
            length, kind, _, _ = struct.unpack("<IBBH", header)
            payload = self.exactly(length)
            if self.back and kind != DATA:
                assert self.exactly(16) == self.tag(self.back, header + payload), "a frame that is not sealed"
            assert kind != ERROR, Fields(payload[2:]).text() if kind == ERROR else ""
            if kind != KEEPALIVE:
                return kind, payload

    def expect(self, wanted):
        kind, payload = self.receive()
        assert kind == wanted, f"frame {kind} instead of {wanted}"
        return Fields(payload)

    def begin(self, kind, payload):
        self.send(kind, payload)
        ready = self.expect(READY)
        assert ready.take("H") == 0, ready.text()

    def put(self, path, folder):
        self.begin(PUT, b"\1" + text(folder))
        content, stat, hash = path.read_bytes(), path.stat(), blake3(path.read_bytes())
        offer = struct.pack("<IQqHB", 0, len(content), stat.st_mtime_ns, stat.st_mode & 0o777, 1) + hash + text(path.name)
        self.send(OFFER, struct.pack("<H", 1) + offer)
        answer = self.expect(ANSWER)
        verdict = answer.take("HIB")[2]
        if verdict == WANT and len(content) <= SMALL:
            self.send(PACK, struct.pack("<HI", 1, 0) + hash + struct.pack("<I", len(content)) + content)
        elif verdict == WANT:
            for at in range(0, len(content), BLOCK):
                self.send(DATA, struct.pack("<IQ", 0, at) + content[at : at + BLOCK])
            self.send(END, struct.pack("<IQ", 0, len(content)) + hash)
        assert verdict in (WANT, HELD), f"answered by {verdict}"
        ack = self.expect(ACK)
        assert ack.take("HIH")[2] == 0, ack.text()
        self.send(SETTLED, struct.pack("<HI", 1, 0))
        self.send(FINISH)
        self.expect(FINISHED)
        print("durable" if verdict == WANT else "held")

    def get(self, folder, patterns, into):
        self.begin(GET, text(folder) + text(patterns) + struct.pack("<BIB", 0, 0, 0))
        names, parts = {}, {}
        while True:
            kind, payload = self.receive()
            fields = Fields(payload)
            if kind == FINISH:
                return self.send(FINISHED)
            if kind == OFFER:
                answers = b""
                for _ in range(count := fields.take("H")):
                    id, _, _, _, hashed = fields.take("IQqHB")
                    fields.bytes(32 * hashed)
                    names[id], parts[id] = fields.text(), b""
                    answers += struct.pack("<IBH", id, WANT, 0)
                self.send(ANSWER, struct.pack("<H", count) + answers)
            elif kind == PACK:
                for _ in range(fields.take("H")):
                    id, hash, length = fields.take("I32sI")
                    self.keep(into, names, id, fields.bytes(length), hash)
            elif kind == DATA:
                id, at = fields.take("IQ")
                assert at == len(parts[id]), "a hole"
                parts[id] += payload[12:]
            elif kind == END:
                id, _, hash = fields.take("IQ32s")
                self.keep(into, names, id, parts.pop(id), hash)

    def keep(self, into, names, id, content, hash):
        assert blake3(content) == hash, "the wrong bytes"
        (pathlib.Path(into) / names[id]).write_bytes(content)
        self.send(ACK, struct.pack("<HIH", 1, id, 0))


if __name__ == "__main__":
    link = Link(*sys.argv[1:4])
    if sys.argv[4] == "put":
        link.put(pathlib.Path(sys.argv[5]), sys.argv[6])
    else:
        link.get(*sys.argv[5:8])
