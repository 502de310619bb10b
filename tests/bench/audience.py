# SPDX-License-Identifier: Apache-2.0
"""Many subscribers of one service for scale.py: when the last datagram of a push came, and whether an ACK was lost.

Each has an address of its own in 127/8; a few sockets hear all of them. A datagram's time is the kernel's, so that it does
not matter how slowly this program reads.
"""

import errno
import json
import select
import socket
import struct
import time
import zlib

SOCKETS = 16
BUFFER = 16 << 20
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
IP_PKTINFO = 8
TIMESPEC, PKTINFO = struct.Struct("@qq"), struct.Struct("@I4s4s")


def hearing_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 0))
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.setblocking(False)
    return sock


def last_ref_time(raw):
    text = zlib.decompress(raw, wbits=31) if raw[:2] == b"\x1f\x8b" else raw
    return json.loads(text)["lastRefTime"]


class Audience:
    def __init__(self, service):
        self.service = service
        self.sockets = [hearing_socket() for _ in range(SOCKETS)]
        self.poller = select.poll()
        self.by_fd = {sock.fileno(): sock for sock in self.sockets}
        self.ports = [sock.getsockname()[1] for sock in self.sockets]
        self.datagram_bytes = 0     # of the last one heard
        for fd in self.by_fd:
            self.poller.register(fd, select.POLLIN)

    def close(self):
        for sock in self.sockets:
            sock.close()

    def subscribe(self, client, count):
        for number in range(count):
            ip = f"127.1.{number // SOCKETS // 250}.{number // SOCKETS % 250 + 1}"
            port = self.ports[number % SOCKETS]
            client.ask("GET", f"/instance/list?serviceName={self.service}&clientIP={ip}&udpPort={port}")

    def hear(self, count, seconds, acknowledge=True):
        """Answers (or not) each datagram from the address it was sent to, until so many subscribers were heard. Wall clock of the
        last one; None: not all came in time."""
        heard, last, deadline = set(), 0.0, time.monotonic() + seconds
        keys = {}
        while len(heard) < count:
            if time.monotonic() > deadline:
                return None
            for fd, _ in self.poller.poll(100):
                last = max(last, self.hear_some(self.by_fd[fd], heard, keys, acknowledge))
        return last

    def drain(self):
        """Reads what has come, without answering."""
        for fd, sock in self.by_fd.items():
            while self.hear_some(sock, set(), {}, False):
                pass

    def hear_some(self, sock, heard, keys, acknowledge):
        last = 0.0
        for _ in range(64):
            try:
                raw, ancillary, _, sender = sock.recvmsg(65536, 128)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    break
                raise
            self.datagram_bytes = len(raw)
            found = {(level, kind): data for level, kind, data in ancillary}
            seconds, nanoseconds = TIMESPEC.unpack(found[socket.SOL_SOCKET, SO_TIMESTAMPNS])
            to = PKTINFO.unpack(found[socket.IPPROTO_IP, IP_PKTINFO])[2]
            last = seconds + nanoseconds / 1e9
            heard.add((sock.fileno(), to))
            if not acknowledge:
                continue
            if raw not in keys:
                keys[raw] = last_ref_time(raw)
            ack = f'{{"type":"push-ack","lastRefTime":"{keys[raw]}","data":""}}'.encode()
            source = PKTINFO.pack(0, to, b"\0\0\0\0")
            sock.sendmsg([ack], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, sender)
        return last
