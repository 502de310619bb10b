# SPDX-License-Identifier: Apache-2.0
"""A MySQL server as far as a check goes: it greets, asks for a login of the kind that the test wants, and answers one query.

It knows the ways to log in that a check takes, and looks at what the client sends; any other name is only named."""
import hashlib
import re
import socket
import subprocess
import threading

CAPABILITIES = 0x1 | 0x4 | 0x200 | 0x2000 | 0x8000 | 0x80000 | 0x200000
SCRAMBLE = bytes(range(33, 53))
OK = b"\0\0\0\2\0\0\0"
EOF = b"\xfe\0\0\2\0"
COLUMN = b"\3def\0\0\0\x011\0\x0c\x3f\0\1\0\0\0\x08\x81\0\0\0\0"


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def digests(name, password):
    """What the two older ways have in common: once hashed, twice hashed, and a function that hashes."""
    def digest(*pieces):
        return hashlib.new(name, b"".join(pieces)).digest()
    once = digest(password)
    return once, digest(once), digest


class Key:
    """An RSA key; what is encrypted for it is read by hand, for a check waits half a second."""

    def __init__(self):
        self.private = subprocess.run(["openssl", "genrsa", "2048"], stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout
        self.public = self.tool("-pubout")
        text = self.tool("-noout", "-text").decode()
        self.n, self.d = (int(re.sub(r"[\s:]", "", re.search(word + r":\s+([0-9a-f:\s]+?)\n\w", text).group(1)), 16)
                          for word in ("modulus", "privateExponent"))

    def tool(self, *words):
        return subprocess.run(["openssl", "rsa"] + list(words), input=self.private, capture_output=True, check=True).stdout

    def read(self, secret):
        """OAEP with SHA-1, without a label."""
        block = pow(int.from_bytes(secret, "big"), self.d, self.n).to_bytes(256, "big")
        seed, rest = block[1:21], block[21:]
        seed = xor(seed, self.mask(rest, 20))
        rest = xor(rest, self.mask(seed, len(rest)))
        return rest[20:].lstrip(b"\0")[1:]

    @staticmethod
    def mask(seed, n):
        return b"".join(hashlib.sha1(seed + i.to_bytes(4, "big")).digest() for i in range(n // 20 + 1))[:n]


class Client:
    """One connection of a check."""

    def __init__(self, conn):
        self.conn, self.number = conn, 0

    def send(self, *packets):
        for packet in packets:
            self.conn.sendall(len(packet).to_bytes(3, "little") + bytes([self.number]) + packet)
            self.number = (self.number + 1) % 256

    def exactly(self, n):
        got = b""
        while len(got) < n:
            piece = self.conn.recv(n - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got

    def receive(self):
        head = self.exactly(4)
        self.number = (head[3] + 1) % 256
        return self.exactly(int.from_bytes(head[:3], "little"))

    def greet(self, name):
        low, high = CAPABILITIES & 0xffff, CAPABILITIES >> 16
        self.number = 0
        self.send(b"\x0a8.0.36\0\1\0\0\0" + SCRAMBLE[:8] + b"\0" + low.to_bytes(2, "little") + b"\x2d\2\0" + high.to_bytes(2, "little") +
                  b"\x15" + bytes(10) + SCRAMBLE[8:] + b"\0" + name + b"\0")
        answer = self.receive()[32:]
        user, rest = answer.split(b"\0", 1)
        return user, rest[1:1 + rest[0]]

    def switch(self, name):
        self.send(b"\xfe" + name + b"\0" + (bytes(32) if name == b"client_ed25519" else SCRAMBLE + b"\0"))
        return self.receive()


def native(peer, client, answer):
    once, twice, digest = digests("sha1", peer.password)
    return answer == xor(once, digest(SCRAMBLE, twice))


def sha2_known(peer, client, answer):
    """The server remembers the password's hash."""
    once, twice, digest = digests("sha256", peer.password)
    client.send(b"\1\3")
    return answer == xor(once, digest(twice, SCRAMBLE))


def sha2_whole(peer, client, answer):
    """It does not: the password itself, for its key."""
    client.send(b"\1\4")
    if client.receive() != b"\2":
        return False
    client.send(b"\1" + peer.key.public)
    return xor(peer.key.read(client.receive()), SCRAMBLE * 2).startswith(peer.password + b"\0")


def ed25519(peer, client, answer):
    return len(answer) == 64


def anything(peer, client, answer):
    """No way of a check: it hangs up, or sends nothing and is refused."""
    return False


class Peer:
    """greeting, login: names of ways to log in; the second is asked for if it is another one. outcome: what became of the last check."""

    def __init__(self, greeting, login, judge, password="secret", key=None):
        self.greeting, self.login, self.judge, self.key = greeting.encode(), login.encode(), judge, key
        self.password, self.outcomes, self.users = password.encode(), [], set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            with conn:
                try:
                    self.outcomes.append(self.talk(Client(conn)))
                except (EOFError, ConnectionError):
                    self.outcomes.append("hung up")

    def talk(self, client):
        user, answer = client.greet(self.greeting)
        self.users.add(user)
        if self.login != self.greeting:
            answer = client.switch(self.login)
        if not self.judge(self, client, answer):
            client.send(b"\xff\x15\x04#28000no")
            return "refused"
        client.send(OK)
        query = client.receive()
        client.send(b"\1", COLUMN, EOF, b"\x011", EOF)
        return query[1:].decode()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
