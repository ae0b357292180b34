"""A scripted POP3 server: well-behaved but for what a test asks of it.

    with Pop3({"user1": [(uidl, message), ...]}) as server:
        server.port, server.commands           # all that clients said

Attributes to set before clients come:
    capabilities   the lines of CAPA; None: it knows no CAPA
    says           {"UIDL": [b"+OK\\r\\n...", ...]}: raw answers in place of its own,
                   the last one again and again; None: it hangs up; SILENCE: it
                   says nothing any more
    most           sessions that may be logged in at a time
    refuse         what one too many is told; None: the connection ends
"""

import socketserver
import threading

SILENCE = object()


class Handler(socketserver.StreamRequestHandler):
    def line(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def many(self, lines):
        self.wfile.write(b"+OK\r\n" + b"".join((b"." if x.startswith(b".") else b"") + x + b"\r\n" for x in lines) + b".\r\n")

    def own(self, server, word, args):
        """The answer to one command; False: it was the last."""
        mail = server.mail.get(self.user, [])
        if word == "CAPA" and server.capabilities is not None:
            self.many([c.encode() for c in server.capabilities])
        elif word == "USER":
            self.user = args[0]
            self.line("+OK")
        elif word == "PASS":
            return self.log_in(server, args[0])
        elif word == "LIST":
            self.many([b"%d %d" % (i + 1, len(m)) for i, (_, m) in enumerate(mail)])
        elif word == "UIDL":
            self.many([b"%d %s" % (i + 1, u.encode()) for i, (u, _) in enumerate(mail)])
        elif word == "TOP" and 0 < int(args[0]) <= len(mail):
            self.many(mail[int(args[0]) - 1][1].split(b"\r\n\r\n")[0].split(b"\r\n") + [b""])
        elif word == "NOOP":
            self.line("+OK")
        elif word == "QUIT":
            self.leave(server)  # before the client, who may come again at once, knows
            self.line("+OK")
            return False
        else:
            self.line("-ERR what?")
        return True

    def log_in(self, server, password):
        if password != server.password:
            self.line("-ERR [AUTH] no")
            return True
        with server.mutex:
            allowed = server.inside < server.most
            server.inside += allowed
            server.peak = max(server.peak, server.inside)
        if not allowed:
            server.refused += 1
            if server.refuse is None:
                return False
            self.line(server.refuse)
            return True
        self.inside = True
        self.line("+OK")
        return True

    def handle(self):
        server = self.server.pop3
        self.user, self.inside = None, False
        try:
            self.line("+OK fake")
            while True:
                text = self.rfile.readline()
                if not text:
                    break
                word, *args = text.decode("latin-1").rstrip("\r\n").split(" ")
                word = word.upper()
                with server.mutex:
                    server.commands.append(word)
                    script = server.says.get(word)
                    raw = script[0] if script else b""
                    if script and len(script) > 1:
                        del script[0]
                if raw is None:
                    break
                if raw is SILENCE:
                    server.over.wait()
                    break
                if raw:
                    self.wfile.write(raw)
                elif not self.own(server, word, args):
                    break
        except OSError:
            pass
        finally:
            self.leave(server)

    def leave(self, server):
        with server.mutex:
            server.inside -= self.inside
            self.inside = False


class Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100


class Pop3:
    host = "127.0.0.1"

    def __init__(self, mail, password="secret"):
        self.mail, self.password = mail, password
        self.capabilities = ["TOP", "USER", "UIDL", "PIPELINING"]
        self.says, self.commands = {}, []
        self.most, self.refuse = 1000, "-ERR [IN-USE] too many connections"
        self.inside = self.peak = self.refused = 0
        self.mutex, self.over = threading.Lock(), threading.Event()
        self.listener = Listener((self.host, 0), Handler)
        self.listener.pop3 = self
        self.port = self.listener.server_address[1]
        self.thread = threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        self.listener.shutdown()
        self.thread.join()
        self.listener.server_close()
