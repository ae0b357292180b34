"""Random histories of an account at two servers, and what must come of them.

    History(seed, source_client, target_client, copy).run()

What a history does is told by its seed.  Between passes the source's user gets,
flags, moves and deletes mail, the target's user does too; after each pass the
target is compared with the model, which knows the rules of the man page ("Flags
and keywords", "deleted", the stages) and nothing of mailhaul's state.

A message is told by its INTERNALDATE, which each has alone.
"""

import random
import re

import readback

EPOCH = 1_000_000_000
OWN = 1_200_000_000  # of mail that comes to the target only
BOXES = ("INBOX", "Work", "Lists")
MINE = "Mine"  # the target's user has made it
WORDS = ("\\seen", "\\flagged", "\\answered", "\\draft", "\\deleted", "todo", "later", "work")
MIN_LIMIT = 20  # --delete-limit


class Wrong(AssertionError):
    """The target is not what the model says."""


class Row:
    """A message that was copied, and what both sides had when last compared."""

    def __init__(self, src, tgt, touched=False):
        self.src, self.tgt, self.touched = src, tgt, touched


class Box:
    def __init__(self):
        self.src, self.tgt, self.rows, self.own = {}, {}, {}, {}


class Model:
    def __init__(self):
        self.boxes = {name: Box() for name in BOXES}
        self.mine, self.removed, self.stage = {}, {}, "new"

    def known(self):
        return sum(len(b.rows) for b in self.boxes.values())

    @staticmethod
    def merge(row, src, tgt):
        """Three ways, each flag by itself: what the target has then."""
        result = set()
        for word in row.src | src | tgt:
            was, now, had, has = word in row.src, word in src, word in row.tgt, word in tgt
            if (now if now != was and has == had else has):
                result.add(word)
        return frozenset(result)

    def copy(self, flags=True, delete=None, full=False, restore=False):
        """A pass.  delete: None, move or expunge."""
        only_adds = self.stage == "released" and not full
        keeps = self.stage == "released" and not restore
        before = {name: set(b.rows) for name, b in self.boxes.items()}
        for b in self.boxes.values():
            if not keeps:  # what is gone at the target was lost
                b.rows = {n: row for n, row in b.rows.items() if n in b.tgt}
            for n, src in b.src.items():
                row = b.rows.get(n)
                if row is None:
                    # where it has come to both it is there already
                    b.rows[n] = Row(src, b.tgt.setdefault(n, src))
                elif flags and not only_adds and src != row.src and n in b.tgt:
                    tgt = b.tgt[n]
                    row.touched = row.touched or tgt != row.tgt
                    b.tgt[n] = self.merge(row, src, tgt)
                    row.src, row.tgt = src, b.tgt[n]
        if delete and not only_adds:
            self.remove(delete, before)
        if self.stage == "new" and self.known():
            self.stage = "loading"

    def remove(self, delete, before):
        gone = {}
        for name, b in self.boxes.items():
            rows = before[name] & set(b.rows)
            out = [n for n in rows if n not in b.src]
            # none of them is left, or too many are gone: that is no deletion
            if out and len(out) < len(rows) and len(out) <= max(len(rows) // 10, MIN_LIMIT):
                gone[name] = out
        total = sum(len(out) for out in gone.values())
        if total > max(self.known() // 10, MIN_LIMIT):
            return
        for name, out in gone.items():
            b = self.boxes[name]
            for n in out:
                if n in b.tgt and (b.rows[n].touched or b.tgt[n] != b.rows[n].tgt):
                    continue  # somebody's now
                if delete == "move" and n in b.tgt:
                    self.removed.setdefault(n, []).append(b.tgt[n])
                b.tgt.pop(n, None)
                del b.rows[n]


class Side:
    """An account as its user sees it."""

    def __init__(self, client):
        self.client = client

    def ok(self, answer):
        if answer[0] != "OK":
            raise Wrong(f"the test's own command was refused: {answer}")
        return answer[1]

    def leave(self):
        """A server may end a session whose mailbox is made anew."""
        if self.client.state == "SELECTED":
            self.ok(self.client.unselect())

    def names(self):
        return list(readback.listing(self.client)[0])

    def clear(self):
        """As if the account were new."""
        for name in sorted(self.names(), reverse=True):
            if name != "INBOX":
                self.client.delete(readback.quote(name))
        if self.ok(self.client.select("INBOX")) != [b"0"]:
            self.ok(self.client.store("1:*", "+FLAGS.SILENT", r"(\Deleted)"))
            self.ok(self.client.expunge())

    def create(self, name):
        self.ok(self.client.create(name))

    def box(self, name):
        return readback.box(self.client, name, bodies=False).messages

    def uids(self, name, dates):
        told = {m.date: str(m.uid) for m in self.box(name)}
        self.ok(self.client.select(name))
        return ",".join(told[date] for date in dates)

    def append(self, name, date, flags):
        body = f"From: a@example.org\r\nSubject: number {date}\r\nMessage-ID: <{date}@example.org>\r\n\r\nmessage {date}\r\n"
        self.ok(self.client.append(name, f"({' '.join(sorted(flags))})", f'"{stamp(date)}"', body.encode()))

    def flag(self, name, date, flags):
        uids = self.uids(name, [date])
        self.ok(self.client.uid("STORE", uids, "FLAGS.SILENT", f"({' '.join(sorted(flags))})"))

    def delete(self, name, dates, to=None):
        uids = self.uids(name, dates)
        if to:
            self.ok(self.client.uid("COPY", uids, to))
        self.ok(self.client.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)"))
        self.ok(self.client.uid("EXPUNGE", uids))


def stamp(t):
    import time

    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(t))


class History:
    PASSES = 5

    def __init__(self, seed, source, target, copy, stage, moves=True):
        """copy(*options) runs a pass, stage(name) sets one; moves: the target
        can move messages."""
        self.random = random.Random(seed)
        self.seed, self.copy, self.set_stage, self.moves = seed, copy, stage, moves
        self.source, self.target = Side(source), Side(target)
        self.model, self.number, self.told = Model(), 0, []

    def tell(self, *words):
        self.told.append(" ".join(str(w) for w in words))

    def flags(self):
        return frozenset(self.random.sample(WORDS, self.random.choice((0, 0, 1, 1, 2, 3))))

    def changed(self, flags):
        """One or two of them are others."""
        return flags ^ frozenset(self.random.sample(WORDS, self.random.choice((1, 1, 2))))

    def pick(self, box, most):
        """Some numbers of that mapping, never all of it."""
        few = self.random.randint(1, most)
        return self.random.sample(sorted(box), min(few, len(box) - 1)) if len(box) > 1 else []

    # -- the source's user

    def src_append(self, name, b, both=False):
        for _ in range(self.random.randint(1, 3)):
            n, flags = self.number, self.flags()
            self.number += 1
            self.tell("source gets", name, n, *flags)
            self.source.append(name, EPOCH + n, flags)
            b.src[n] = flags
            if both:
                b.tgt[n] = self.flags()
                self.tell("  the target too,", *b.tgt[n])
                self.target.append(name, EPOCH + n, b.tgt[n])

    def both_append(self, name, b):
        """It has come to both, by another way."""
        self.src_append(name, b, both=True)

    def src_flag(self, name, b):
        for n in self.pick(b.src, 4):
            b.src[n] = self.changed(b.src[n])
            self.tell("source flags", name, n, *b.src[n])
            self.source.flag(name, EPOCH + n, b.src[n])

    def src_delete(self, name, b):
        gone = self.pick(b.src, 2)
        if gone:
            self.tell("source deletes", name, gone)
            self.source.delete(name, [EPOCH + n for n in gone])
        for n in gone:
            del b.src[n]

    def src_move(self, name, b):
        other = self.random.choice([x for x in BOXES if x != name])
        to = self.model.boxes[other]
        # one that was there before is another message to both servers
        gone = [n for n in self.pick(b.src, 2) if n not in to.src and n not in to.rows and n not in to.tgt]
        if gone:
            self.tell("source moves", name, gone, "to", other)
            self.source.delete(name, [EPOCH + n for n in gone], other)
        for n in gone:
            to.src[n] = b.src.pop(n)

    # -- the target's

    def tgt_flag(self, name, b):
        for n in self.pick(b.tgt, 4):
            b.tgt[n] = self.changed(b.tgt[n])
            self.tell("target flags", name, n, *b.tgt[n])
            self.target.flag(name, EPOCH + n, b.tgt[n])

    def both_flag(self, name, b):
        """The same messages, at once."""
        for n in self.pick(b.src.keys() & b.tgt.keys(), 3):
            b.src[n], b.tgt[n] = self.changed(b.src[n]), self.changed(b.tgt[n])
            self.tell("both flag", name, n, *b.src[n], "/", *b.tgt[n])
            self.source.flag(name, EPOCH + n, b.src[n])
            self.target.flag(name, EPOCH + n, b.tgt[n])

    def contradict(self, name, b):
        """What one side had alone comes to the other, and goes there."""
        for n in sorted(b.rows):
            alone = sorted(b.rows[n].src ^ b.rows[n].tgt)
            if not alone or n not in b.src or n not in b.tgt or self.random.random() < 0.3:
                continue
            word = {self.random.choice(alone)}
            b.src[n] = b.src[n] - word if word & b.rows[n].src else b.src[n] | word
            b.tgt[n] = b.tgt[n] - word if word & b.rows[n].tgt else b.tgt[n] | word
            self.tell("contradiction", name, n, *b.src[n], "/", *b.tgt[n])
            self.source.flag(name, EPOCH + n, b.src[n])
            self.target.flag(name, EPOCH + n, b.tgt[n])

    def tgt_delete(self, name, b):
        gone = self.pick(b.tgt, 2)
        if gone:
            self.tell("target deletes", name, gone)
            self.target.delete(name, [EPOCH + n for n in gone])
        for n in gone:
            del b.tgt[n]

    def tgt_move(self, name, b):
        gone = [n for n in self.pick(b.tgt, 2) if n not in self.model.mine]
        if gone:
            self.tell("target moves", name, gone)
            self.target.delete(name, [EPOCH + n for n in gone], MINE)
        for n in gone:
            self.model.mine[n] = b.tgt.pop(n)

    def tgt_own(self, name, b):
        n, flags = self.number, self.flags()
        self.number += 1
        self.tell("target gets", name, n, *flags)
        self.target.append(name, OWN + n, flags)
        b.own[n] = flags

    EVENTS = (src_append, src_append, src_flag, src_flag, src_delete, src_move, both_append, tgt_flag, tgt_flag, both_flag, both_flag, contradict, contradict, tgt_delete, tgt_move, tgt_own)

    # -- passes

    def one_pass(self):
        options, words = {}, []
        if self.random.random() < 0.15:
            options["flags"] = False
            words.append("--no-flag-sync")
        if self.random.random() < 0.5:
            options["delete"] = self.random.choice(("move", "expunge"))
            if not self.moves:
                options["delete"] = "expunge"
            words.append("--delete=" + options["delete"])
        if self.model.stage == "released":
            for name, word in ("full", "--full"), ("restore", "--restore-deleted"):
                if self.random.random() < 0.3:
                    options[name] = True
                    words.append(word)
        self.tell("pass", *words)
        for side in self.source, self.target:
            side.leave()
        self.copy(*words)
        self.model.copy(**options)
        self.check()

    def check(self):
        """The target, and that the source is as its user has left it."""
        bad = []
        for name, b in self.model.boxes.items():
            want = {EPOCH + n: f for n, f in b.tgt.items()} | {OWN + n: f for n, f in b.own.items()}
            bad += differences(f"target {name}", want, self.target.box(name))
            bad += differences(f"source {name}", {EPOCH + n: f for n, f in b.src.items()}, self.source.box(name))
        bad += differences(MINE, {EPOCH + n: f for n, f in self.model.mine.items()}, self.target.box(MINE))
        there = [m for name in self.target.names() if re.search(r"mailhaul-removed.\d", name) for m in self.target.box(name)]
        want = sorted((EPOCH + n, sorted(f)) for n, all_of_it in self.model.removed.items() for f in all_of_it)
        got = sorted((m.date, sorted(words(m))) for m in there)
        if got != want:
            bad.append(f"removed: {got}, not {want}")
        if bad:
            raise Wrong("\n".join([f"seed {self.seed}", *self.told, "", *bad]))

    def run(self):
        self.source.clear()
        self.target.clear()
        for name in BOXES[1:]:
            self.source.create(name)
        self.target.create(MINE)
        for name, b in self.model.boxes.items():
            for _ in range(3):
                self.src_append(name, b)
        self.one_pass()
        for i in range(self.PASSES):
            for _ in range(self.random.randint(0, 7)):
                name = self.random.choice(BOXES)
                self.random.choice(self.EVENTS)(self, name, self.model.boxes[name])
            if i >= 2 and self.random.random() < 0.3:
                self.model.stage = self.random.choice(("frozen", "released"))
                self.tell("stage", self.model.stage)
                self.set_stage(self.model.stage)
            self.one_pass()


def words(m):
    return frozenset(w.lower() for w in m.flags) | frozenset(w.lower() for w in m.keywords)


def differences(where, want, messages):
    """want: {date: flags}."""
    got, bad = {}, []
    for m in messages:
        if m.date in got:
            bad.append(f"{where}: {m.date} is there twice")
        got[m.date] = words(m)
    for date in sorted(want.keys() | got.keys()):
        if want.get(date) != got.get(date):
            a, b = (sorted(x[date]) if date in x else "not there" for x in (want, got))
            bad.append(f"{where}: {date}: {b}, and should be {a}")
    return bad
