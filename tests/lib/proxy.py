"""A TCP proxy between an IMAP client and a server.

    with Proxy(server.host, server.imap_port, delay=0.010) as p:
        ... connect to 127.0.0.1 and p.port ...
        p.commands["APPEND"], p.messages, p.log

It counts what the client says (on a plain connection), adds a fixed delay in
each direction without limiting what is in flight, and cuts or stalls links at a
chosen byte or event.  Counters go over all connections until reset().

Faults, set before or while connections are open; each happens once:
    p.cut_append(n, "literal")   behind the last literal byte of the n-th APPEND
                                 command, before its final CRLF
    p.cut_append(n, "end")       behind its final CRLF, before the answer
    p.cut_append(n, "answer")    the server has answered; the client never sees it
    p.cut_bytes("up", n)         behind the n-th byte of a connection ("down": to the client)
    p.on(kind, name, n, action)  the n-th event of a kind (see wire.Event) of a
                                 command, from now on, over all connections
Actions: "cut" (what came before still arrives, then both sides are closed),
"stall" (nothing passes any more, the connections stay), "lose-answers" (only
client to server passes), or a function that takes (connection, event) and
returns one of these or None.
"""

import argparse
import json
import queue
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter

from wire import Watch

CHUNK = 1 << 16
IN_FLIGHT = 512  # chunks in one direction, so that memory has a bound


class _Rule:
    def __init__(self, kind, name, n, action, literal):
        self.kind, self.name, self.left, self.action, self.literal = kind, name, n, action, literal

    def hit(self, event):
        if event.kind != self.kind or self.name not in (None, event.name):
            return False
        if self.literal is not None and event.index != self.literal:
            return False
        self.left -= 1
        return self.left == 0


class Connection:
    def __init__(self, proxy, client, server, number):
        self.proxy, self.client, self.server, self.number = proxy, client, server, number
        self.watch = Watch()
        self.bytes = {"up": 0, "down": 0}
        self.queues = {"up": queue.Queue(IN_FLIGHT), "down": queue.Queue(IN_FLIGHT)}
        self.blocked = {"up": None, "down": None}  # or stalled, or lost
        self.closed = False
        self.last = "down"  # who spoke last
        for direction, source, sink in (("up", client, server), ("down", server, client)):
            for target, args in ((self._read, (direction, source)), (self._write, (direction, sink))):
                threading.Thread(target=target, args=args, daemon=True).start()

    def _read(self, direction, source):
        parse = self.watch.client if direction == "up" else self.watch.server
        while True:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            due = time.monotonic() + self.proxy.delay
            if not data:
                if self.closed and direction == "down":
                    self.server.close()
                elif not self.blocked[direction]:
                    self.queues[direction].put((due, None))
                return
            if not self._pass(direction, data, parse, due):
                return

    def _pass(self, direction, data, parse, due):
        start = self.bytes[direction]
        self.bytes[direction] += len(data)
        with self.proxy.lock:
            if direction == "up" and self.last == "down":
                self.proxy.turns += 1
            self.last = direction
            at, action = self.proxy.byte_rule(direction, start, len(data))
            if self.proxy.parse:
                for event in parse(data):
                    self.proxy.note(self, event)
                    wanted = self.proxy.match(self, event)
                    if wanted and (action is None or event.offset < at):
                        at, action = event.offset, wanted
        if self.blocked[direction]:
            return self.blocked[direction] == "lost"
        if action is None:
            self.queues[direction].put((due, data))
            return True
        keep = max(at - start, 0)
        if keep:
            self.queues[direction].put((due, data[:keep]))
        if action == "cut":
            self.queues[direction].put((due, "cut"))
            return False
        if action == "lose-answers":
            self.blocked["down"] = "lost"
            if direction == "up" and keep < len(data):
                self.queues[direction].put((due, data[keep:]))
            return True
        self.blocked["up"] = self.blocked["down"] = "stalled"
        return False

    def _write(self, direction, sink):
        while True:
            due, data = self.queues[direction].get()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if data == "cut":
                self.close()
                return
            try:
                if data is None:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                self.close()
                return

    def close(self):
        """Cut the link: the client gets a reset; the server reads what had been
        sent to it, and then the end."""
        self.closed = True
        try:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.client.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.client.close()
        try:
            self.server.shutdown(socket.SHUT_WR)
        except OSError:
            self.server.close()


class Proxy:
    def __init__(self, host, port, delay=0.0, parse=True, listen=0):
        self.target = (host, port)
        self.delay = delay  # seconds, each way
        self.parse = parse  # False for connections with TLS: nothing is counted then
        self.lock = threading.RLock()
        self.rules = []
        self.byte_rules = []
        self.connections = []
        self.accepting = True
        self.listener = socket.create_server(("127.0.0.1", listen), backlog=128)
        self.host, self.port = self.listener.getsockname()
        self.reset()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stop()

    def start(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut_all()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if not self.accepting:  # a host that is down
                client.close()
                continue
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.count += 1
                self.connections = [c for c in self.connections if not c.closed]
                self.connections.append(Connection(self, client, server, self.count))

    def reset(self):
        """Forget what was counted."""
        with self.lock:
            self.commands = Counter()  # name -> how often; UID STORE counts as STORE
            self.messages = 0  # literals of APPEND commands that passed to the last byte
            self.log = []  # (connection, tag, name, arguments of the first line)
            self.answers = []  # (connection, tag, name, text)
            self.count = 0  # connections accepted
            self.turns = 0  # times that a client waited: its bytes came after the server's

    def writes(self):
        """How many commands were seen that change what is at the server."""
        names = "APPEND STORE CREATE DELETE RENAME EXPUNGE COPY MOVE SUBSCRIBE UNSUBSCRIBE SETACL DELETEACL SETQUOTA SETMETADATA REPLACE"
        with self.lock:
            return sum(self.commands[name] for name in names.split())

    def cut_all(self):
        """Cut every link now."""
        with self.lock:
            connections, self.connections = self.connections, []
        for c in connections:
            c.close()

    def on(self, kind, name, n=1, action="cut", literal=None):
        with self.lock:
            self.rules.append(_Rule(kind, name, n, action, literal))

    def cut_append(self, n=1, where="end", literal=1, action="cut"):
        self.on(where, "APPEND", n, action, literal if where == "literal" else None)

    def cut_bytes(self, direction, n, action="cut"):
        with self.lock:
            self.byte_rules.append((direction, n, action))

    def note(self, connection, event):
        if event.kind == "command":
            self.commands[event.name] += 1
            self.log.append((connection.number, event.tag, event.name, event.args[:300]))
        elif event.kind == "literal" and event.name == "APPEND":
            self.messages += 1
        elif event.kind == "answer":
            self.answers.append((connection.number, event.tag, event.name, event.args[:300]))

    def match(self, connection, event):
        for rule in self.rules:
            if rule.hit(event):
                self.rules.remove(rule)
                if callable(rule.action):
                    return rule.action(connection, event)
                return rule.action
        return None

    def byte_rule(self, direction, start, length):
        for rule in self.byte_rules:
            if rule[0] == direction and start <= rule[1] < start + length:
                self.byte_rules.remove(rule)
                return rule[1], rule[2]
        return None, None


def main():
    parser = argparse.ArgumentParser(description="IMAP proxy: delays, counts; prints counters at SIGTERM")
    parser.add_argument("target", help="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="milliseconds, each way")
    parser.add_argument("--no-parse", action="store_true", help="for TLS inside")
    options = parser.parse_args()
    host, _, port = options.target.rpartition(":")
    proxy = Proxy(host, int(port), options.delay / 1000, not options.no_parse, options.port).start()
    print(f"PORT={proxy.port}", flush=True)
    done = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *unused: done.set())
    done.wait()
    proxy.stop()
    json.dump({"commands": proxy.commands, "messages": proxy.messages, "connections": proxy.count}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
