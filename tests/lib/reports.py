"""States to report from: a real one of a small job, and what may be planted in it.

    r = Reports(haul)             three accounts, copied in two passes
    r.plant(...)                  a refused message with these texts
    r.report("--format", "json")
    r.crowd(10000)                so many accounts more
"""

import itertools
import json
import os
import random
import re
import shutil
import sqlite3

import tls

SCHEMA = os.path.join(tls.ROOT, "engine/schema/mailhaul-%s-1.json")
USERS = ["anna@example.org", "berta@example.org", "carl@example.org"]
BOXES = ["", ".Sent Items", ".Clients.M&APw-ller", ".Archive"]
# what breaks terminals, spreadsheets and parsers (as stored, as JSON has it)
HOSTILE = [
    (b"\x1b[2J\x1b]0;pwned\x07\x08 bell", "\x1b[2J\x1b]0;pwned\x07\x08 bell"),
    (b"</td></script><script>document.title='pwned'</script><img src=x onerror=alert(1)>",) * 2,
    (b"\"'><svg onload=alert(1)> & &amp; ]]></failure><!--",) * 2,
    (b"=cmd|\"/c calc\"!A0",) * 2,
    (b"  +1+2",) * 2,
    (b"@SUM(A1)\r\nnext line",) * 2,
    (b"\xff\xfe latin \xe9 \xed\xa0\x80", "\ufffd\ufffd latin \ufffd \ufffd\ufffd\ufffd"),
    ("\u202egnp.exe \u2066x \u2028\u2029 \x85\x9b2J \ufffe\uffff \U0001f600".encode(), "\u202egnp.exe \u2066x \u2028\u2029 \x85\x9b2J \ufffe\uffff \U0001f600"),
    (b"A" * (1 << 20) + b"<b>",) * 2,
]
HOSTILE = [(raw, text if isinstance(text, str) else text.decode()) for raw, text in HOSTILE]


def message(user, box, i):
    lines = [f"From: {user}", f"Subject: secretsubject {i} of {box or 'INBOX'}", f"Message-ID: <{i}.{len(box)}@secret.example>", ""]
    return "\n".join(lines + [f"line {n} of {i}" for n in range(20 + i)]).encode() + b"\n"


class Reports:
    def __init__(self, haul):
        self.haul, self.messages = haul, {}
        for user in USERS:
            for box in BOXES:
                for i in range(6 if box else 9):
                    self.deliver(user, box, i)
        haul.write("users.csv", "user\n" + "\n".join(USERS) + "\n")
        self.job = haul.write(
            "job.ini",
            f"[job]\naccounts = users.csv\nstate = R.db\nlog = off\n[source]\nuri = maildir:{haul.path('src')}/{{user}}\n"
            f"[target]\nuri = dovecot:{haul.path('tgt')}/{{user}}?owner={os.geteuid()}\n[folders]\nmap = Sent Items -> Sent\nexclude = Archive\n",
        )
        self.state = haul.path("R.db")
        os.makedirs(haul.path("tgt"))
        self.copy()
        self.deliver(USERS[0], "", 99)
        self.copy()

    def deliver(self, user, box, i):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(self.haul.path("src", user, box, sub), exist_ok=True)
        if box:
            self.haul.write(os.path.join("src", user, box, "maildirfolder"), "")
        data = message(user, box, i)
        self.haul.write(os.path.join("src", user, box, "cur", f"{1700000000 + i}.M{i}P1.host:2,S"), data)
        self.messages[user, box, i] = data

    def copy(self):
        run = self.haul.run("copy", "--job", self.job, "--format", "json", "--quiet")
        if run.code != 0:
            raise AssertionError(repr(run))
        return run

    def report(self, *words):
        return self.haul.run("report", "--job", self.job, *words)

    def json(self, *words):
        return json.loads(self.report("--format", "json", *words).out)

    def keep(self):
        """Remembers the state, for restore()."""
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(self.state, self.state + ".kept")

    def restore(self):
        for end in "-wal", "-shm":
            if os.path.exists(self.state + end):
                os.unlink(self.state + end)
        shutil.copyfile(self.state + ".kept", self.state)

    # -- what nobody but a test writes into a state

    def sql(self, *statements):
        with sqlite3.connect(self.state) as db:
            results = [db.execute(*(s if isinstance(s, tuple) else (s,))).fetchall() for s in statements]
        db.close()
        return results[-1]

    def plant(self, user, subject, reason="says no", message_id=b"<x@secret.example>", where="uid 7", kind="refused"):
        """One of the account's messages was refused, with these texts (bytes)."""
        mailbox, account, key = self.sql(
            ("SELECT mailbox.id, account_id, key FROM mailbox JOIN account ON account.id = account_id JOIN message ON message.mailbox_id = mailbox.id"
             " WHERE account.name = ? AND message.outcome = 1 ORDER BY mailbox.id DESC, key LIMIT 1", (user,))
        )[0]
        raw = [t if isinstance(t, bytes) else t.encode() for t in (where, message_id, subject, reason)]
        self.sql(
            ("UPDATE message SET outcome = 4, rule = 'repair=no, x' WHERE mailbox_id = ? AND key = ?", (mailbox, key)),
            ("UPDATE mailbox SET refused = refused + 1, copied = copied - 1 WHERE id = ?", (mailbox,)),
            ("INSERT INTO issue (account_id, mailbox_id, kind, key, pass, message_where, message_id, subject, size, reason) VALUES"
             " (?, ?, ?, ?, 2, cast(? AS text), cast(? AS text), cast(? AS text), 77, cast(? AS text))", (account, mailbox, kind, key, *raw)),
        )

    def crowd(self, n):
        """n accounts more, each with three mailboxes; every tenth has a problem."""
        with sqlite3.connect(self.state) as db:
            first = db.execute("SELECT max(id) + 1 FROM account").fetchone()[0]
            box = db.execute("SELECT max(id) + 1 FROM mailbox").fetchone()[0]
            db.executemany(
                "INSERT INTO account (id, name, target_user, source, target, stage, outcome, pass) VALUES (?, ?, '', ?, 'dovecot:/x', 'loading', ?, 2)",
                ((first + i, f"user{i:05}@example.net", f"maildir:/srv/{i}", "partial" if i % 10 == 0 else "done") for i in range(n)),
            )
            rows = []
            for i in range(n):
                for j, name in enumerate(("INBOX", "Sent Items", "Archive/2024")):
                    bad = i % 10 == 0 and j == 0
                    rows.append((box + 3 * i + j, first + i, b"%d" % j, name, "Sent" if j == 1 else name, str(j), "partial" if bad else "done",
                                 100 + i % 977, 100 + i % 977 - bad, int(bad), 1000 * (i + 1), 1020 * (i + 1)))
            db.executemany(
                "INSERT INTO mailbox (id, account_id, src_key, src_name, tgt_name, tgt_key, outcome, source, copied, failed, bytes, crlf_bytes)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows,
            )
            db.executemany(
                "INSERT INTO issue (account_id, mailbox_id, kind, key, pass, message_where, message_id, subject, size, reason)"
                " VALUES (?, ?, 'failed', ?, 2, 'uid 4', '<4@example.net>', 'A subject', 5000, 'the server was away')",
                ((first + i, box + 3 * i, b"%d" % i) for i in range(0, n, 10)),
            )
        db.close()

    def show(self):
        """What a company of 60 has behind it: three nights, almost all there; for
        the picture in README.md."""
        names = "anna berta carl dora emil frieda georg hanna ivan julia karl lena moritz nora otto paula quirin rosa simon tina".split()
        people = [f"{name}{i or ''}@example.net" for i in range(3) for name in names]
        rng = random.Random(4)
        with sqlite3.connect(self.state) as db:
            for table in "account mailbox message issue history pass pace extra op quota".split():
                db.execute(f"DELETE FROM {table}")
            box = 0
            for i, name in enumerate(people, 1):
                db.execute("INSERT INTO account (id, name, source, target, stage, outcome, pass) VALUES (?, ?, ?, ?, 'loading', 'done', 3)",
                           (i, name, f"maildir:/srv/vmail/{name}", f"imaps://admin@imap.example.net?authzid={name}"))
                for old, new in ("INBOX", "INBOX"), ("Sent Items", "Sent"), ("Archive", "Archive"):
                    box += 1
                    sizes = [rng.randrange(2_000, 120_000) for _ in range(rng.randrange(30, 500))]
                    refused = int(old == "INBOX" and i % 19 == 0)
                    if refused:
                        db.execute("INSERT INTO issue (account_id, mailbox_id, kind, key, pass, message_where, message_id, subject, size, reason) VALUES"
                                   " (?, ?, 'refused', ?, 1, 'uid 1', ?, ?, ?, 'APPEND: the server says NO: Message contains NUL characters')",
                                   (i, box, b"0", f"<{i}@example.org>", rng.choice(["Pictures from Rome", "Minutes, third draft", "Fwd: fax"]), sizes[0]))
                    db.executemany("INSERT INTO message (mailbox_id, key, size, crlf_size, src_uid, tgt_uid, date, outcome, pass) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
                                   [(box, b"%d" % k, n, n + n // 60, k + 1, k + 1, 1_700_000_000 + k * 9999, 4 if refused and k == 0 else 1) for k, n in enumerate(sizes)])
                    db.execute("INSERT INTO mailbox (id, account_id, src_key, src_name, tgt_name, tgt_key, outcome, source, copied, refused, bytes, crlf_bytes,"
                               " src_uidvalidity, tgt_uidvalidity) VALUES (?, ?, ?, ?, ?, ?, 'done', ?, ?, ?, ?, ?, 1, 1)",
                               (box, i, b"%d" % box, old, new, new, len(sizes), len(sizes) - refused, refused, sum(sizes), sum(n + n // 60 for n in sizes)))
            total, sent = sum(m[0] for m in db.execute("SELECT copied FROM mailbox")), 0
            for i, (start, seconds, part) in enumerate([(1_794_772_800, 18000, 0.95), (1_794_859_200, 3600, 0.04), (1_794_945_600, 900, 1)], 1):
                slots = [[i, start + t, max(0, rng.gauss(1, 0.2)) * min(1, t / 900 + 0.2) * (0.25 if i == 1 and 9000 < t < 10200 else 1)] for t in range(0, seconds, 10)]
                scale = (min(total * part, total - sent)) / sum(s[2] for s in slots)
                ends = [round(n * scale) for n in itertools.accumulate(s[2] for s in slots)]
                slots = [(i, s[1], end - before, (end - before) * 61_000) for s, before, end in zip(slots, [0, *ends], ends)]
                db.executemany("INSERT INTO pace VALUES (?, ?, ?, ?)", slots)
                mine = sum(s[2] for s in slots)
                sent += mine
                db.execute("INSERT INTO pass (id, started, ended, version, what, exit_code, sent, sent_bytes, settings) VALUES (?, ?, ?, '0.1.0', 'copy', 1, ?, ?, ?)",
                           (i, start, start + seconds, mine, 61_000 * mine, "limits.target-limit = 8 lanes\nfolders.map = Sent Items -> Sent\n"))
        db.close()


def strict(schema):
    """A schema that takes no key that it does not name: nothing goes undescribed."""
    if isinstance(schema, dict):
        schema = {k: strict(v) for k, v in schema.items()}
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
        return schema
    return [strict(v) for v in schema] if isinstance(schema, list) else schema


def validate(text, what, schema="report"):
    """JSON text against a definition of one of our schemas, as published and with no key besides; the value."""
    import jsonschema

    value = json.loads(text)
    with open(SCHEMA % schema, encoding="utf-8") as f:
        published = json.load(f)
    checker = jsonschema.Draft202012Validator
    checker.check_schema(published)
    for s in (published, strict(published)):
        checker({"$ref": f"#/$defs/{what}", "$defs": s["$defs"]}, format_checker=None).validate(value)
    return value


def within(more, less):
    """The keys of more that less has too, through lists and objects."""
    if isinstance(less, dict):
        return {k: within(more[k], v) for k, v in less.items()}
    if isinstance(less, list) and len(more) == len(less):
        return [within(m, v) for m, v in zip(more, less)]
    return more


def harmless(text):
    """Nothing that a terminal obeys: lines of printable characters."""
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
