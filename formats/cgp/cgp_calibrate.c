/*
 * Learning from the server what its files mean.
 *
 * A letter means the flag with which it agrees best: that is there when the
 * letter is and not when it is not.  Up to one message in fifty may contradict
 * (it changed in between); with more no meaning is told.
 */
#include "cgp/cgp_calibrate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xmalloc.h"
#include "cgp/cgp_impl.h"
#include "cgp/cgp_source.h"

#define NAMES_MAX	64		/* flags and keywords */
#define OFFSETS		(2 * 15 * 4 + 1)	/* quarters of an hour */
#define BOX_MAX		1000000		/* messages of one mailbox */
#define AGREE(n)	((n) / 50)	/* that may contradict */

static const char *const system_flags[] = {
	"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"
};

/* What the server says of a message. */
struct told {
	uint32_t	 uid;
	uint64_t	 names;		/* bits: flags, then keywords */
	int64_t		 date;
	uint64_t	 size;
};

/* What a tail may be. */
enum tail { TAIL_NONE, TAIL_UID, TAIL_DATE, TAIL_SIZE, TAIL_OTHER, TAILS };

struct learn {
	struct cgp	*disk;
	struct source	*server;
	uint64_t	 left;		/* messages still to be read */
	char		*names[NAMES_MAX];
	size_t		 nnames;
	struct told	*told;		/* of the mailbox, by UID */
	size_t		 ntold, cap;
	/* sums */
	uint64_t	 joined, missing;
	uint64_t	 letter[256], name[NAMES_MAX];
	uint64_t	 both[256][NAMES_MAX];
	uint64_t	 offset[2][OFFSETS], odd[2];	/* by enum cgp_kind */
	uint64_t	 tail[2][TAILS];
	uint64_t	 lf, crlf, mixed, same_size, other_size;
	uint64_t	 quoted, validity, other_validity;
};

/* The bit of a keyword; 64: there are too many. */
static size_t
name_bit(struct learn *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->nnames; i++)
		if (strcasecmp(l->names[i], name) == 0)
			return i;
	if (l->nnames < NAMES_MAX)
		l->names[l->nnames++] = xstrdup(name);
	return i;
}

static int
by_uid(const void *va, const void *vb)
{
	const struct told *a = va, *b = vb;

	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

/* All messages of the server's mailbox, which is open. */
static int
ask_server(struct learn *l, struct err *e)
{
	struct msg_meta m;
	struct arena a;
	struct told *t;
	size_t i, bit;
	int rc;

	arena_init(&a);
	l->ntold = 0;
	while ((rc = source_next(l->server, &a, &m, e)) == 1 &&
	    l->ntold < BOX_MAX) {
		if (l->ntold == l->cap) {
			l->cap = l->cap == 0 ? 1024 : l->cap * 2;
			l->told = xreallocarray(l->told, l->cap,
			    sizeof *l->told);
		}
		t = &l->told[l->ntold++];
		t->uid = m.uid;
		t->date = m.date;
		t->size = m.size;
		t->names = m.flags;	/* MSG_* are the first five bits */
		for (i = 0; i < m.nkeywords; i++)
			if ((bit = name_bit(l, m.keywords[i])) < NAMES_MAX)
				t->names |= (uint64_t)1 << bit;
		arena_reset(&a);
	}
	arena_release(&a);
	if (l->ntold > 0)
		qsort(l->told, l->ntold, sizeof *l->told, by_uid);
	return rc == -1 ? -1 : 0;
}

static void
learn_flags(struct learn *l, const struct told *t, const char *letters)
{
	bool has[256] = { false };
	size_t c, i;

	for (; *letters != '\0'; letters++)
		has[(unsigned char)*letters] = true;
	for (i = 0; i < l->nnames; i++)
		l->name[i] += t->names >> i & 1;
	for (c = 0; c < 256; c++) {
		if (!has[c])
			continue;
		l->letter[c]++;
		for (i = 0; i < l->nnames; i++)
			l->both[c][i] += t->names >> i & 1;
	}
}

/* How far the time in the file is from the server's, as if it were UTC. */
static void
learn_zone(struct learn *l, const struct told *t, const struct msg_meta *m)
{
	enum cgp_kind kind = l->disk->box.f->kind;
	int64_t diff, quarters;

	if (m->date == NO_DATE || t->date == NO_DATE || l->disk->box.zoned ||
	    (m->date_origin != DATE_STORE &&
	    m->date_origin != DATE_SEPARATOR))
		return;
	diff = m->date - t->date;
	if (kind == CGP_MBOX)
		diff += (int64_t)l->disk->zone * 60;
	/* Some seconds may lie between what the two stand for. */
	quarters = (diff + (diff < 0 ? -450 : 450)) / 900;
	diff -= quarters * 900;
	if (diff < -120 || diff > 120 || quarters < -60 || quarters > 60)
		l->odd[kind]++;
	else
		l->offset[kind][quarters + 60]++;
}

static void
learn_tail(struct learn *l, const struct told *t, const struct msg_meta *m)
{
	const char *p = l->disk->box.tail;
	enum cgp_kind kind = l->disk->box.f->kind;
	unsigned long long v;
	char *end;

	if (p[0] != '\0')
		p++;
	v = strtoull(p, &end, 10);
	l->tail[kind][*p == '\0' ? TAIL_NONE : end == p || *end != '\0' ?
	    TAIL_OTHER : v == t->uid ? TAIL_UID : (int64_t)v == m->date ||
	    (int64_t)v == t->date ? TAIL_DATE : v == m->size ||
	    v == t->size ? TAIL_SIZE : TAIL_OTHER]++;
}

/* Line ends, and the size with CR LF. */
static int
learn_content(struct learn *l, const struct told *t, const struct msg_meta *m,
    struct err *e)
{
	char chunk[16384], last = '\n';
	uint64_t bare = 0, full = 0, size = 0;
	bool quoted = false;
	struct content *c;
	size_t matched = 0;
	ssize_t n, i;
	int rc;

	if (l->left == 0)
		return 0;
	l->left--;
	rc = source_content(&l->disk->s, m, &c, e);
	if (rc != 1)
		return rc == -1 && e->scope != ERR_MESSAGE ? -1 : 0;
	while ((n = content_read(c, chunk, sizeof chunk, e)) > 0)
		for (i = 0; i < n; i++) {
			if (chunk[i] == '\n') {
				bare += last != '\r';
				full += last == '\r';
			}
			/* ">From " at the start of a line. */
			if (last == '\n')
				matched = 0;
			matched = matched < 6 && chunk[i] ==
			    ">From "[matched] ? matched + 1 : 7;
			quoted = quoted || matched == 6;
			last = chunk[i];
			size++;
		}
	content_close(&c);
	if (n == -1)
		return e->scope != ERR_MESSAGE ? -1 : 0;
	l->lf += bare > 0 && full == 0;
	l->crlf += bare == 0 && full > 0;
	l->mixed += bare > 0 && full > 0;
	l->same_size += size + bare == t->size;
	l->other_size += size + bare != t->size;
	l->quoted += quoted;
	return 0;
}

/* Both mailboxes are open. */
static int
join(struct learn *l, struct err *e)
{
	const struct told *t;
	struct told key;
	struct msg_meta m;
	struct arena a;
	int rc;

	if (ask_server(l, e) == -1)
		return -1;
	arena_init(&a);
	while ((rc = source_next(&l->disk->s, &a, &m, e)) == 1) {
		key.uid = m.uid;
		t = m.uid != 0 && l->ntold > 0 ? bsearch(&key, l->told,
		    l->ntold, sizeof key, by_uid) : NULL;
		if (t == NULL)
			l->missing++;
		else {
			l->joined++;
			learn_flags(l, t, m.raw_flags);
			learn_zone(l, t, &m);
			learn_tail(l, t, &m);
			if (learn_content(l, t, &m, e) == -1) {
				rc = -1;
				break;
			}
		}
		arena_reset(&a);
	}
	arena_release(&a);
	return rc;
}

static bool
same_path(const struct folder_info *a, const struct folder_info *b)
{
	size_t i;

	if (a->npath != b->npath)
		return false;
	for (i = 0; i < a->npath; i++)
		if (strcmp(a->path[i], b->path[i]) != 0 &&
		    (i > 0 || strcasecmp(a->path[0], "INBOX") != 0 ||
		    strcasecmp(b->path[0], "INBOX") != 0))
			return false;
	return true;
}

/* One mailbox; what cannot be read on a side is told and left out. */
static int
learn_folder(struct learn *l, struct folder_info *mine,
    struct folder_info *theirs, struct err *e)
{
	uint32_t told = mine->uidvalidity;
	enum delta d;
	int rc;

	if (source_folder_open(&l->disk->s, mine, NULL, 0, &d, e) == -1)
		rc = -1;
	else if (source_folder_open(l->server, theirs, NULL, 0, &d, e) == -1)
		rc = -1;
	else {
		rc = join(l, e);
		told = l->disk->box.f->uidvalidity;
		if (told != 0 && told == theirs->uidvalidity)
			l->validity++;
		else if (told != 0)
			l->other_validity++;
	}
	source_folder_close(l->server);
	source_folder_close(&l->disk->s);
	if (rc == -1 && e->scope <= ERR_MAILBOX) {
		source_warn(&l->disk->s, mine->name, "%s", e->text);
		return 0;
	}
	return rc;
}

/* What was learnt */

/* The flag that a letter means; NAMES_MAX: none.  *against: how many messages
 * contradict. */
static size_t
meaning(const struct learn *l, int c, uint64_t *against)
{
	size_t i, best = NAMES_MAX;
	uint64_t n;

	*against = 0;
	for (i = 0; i < l->nnames; i++) {
		/* With one of the two, and without the other. */
		n = l->letter[c] + l->name[i] - 2 * l->both[c][i];
		if (l->both[c][i] > 0 && (best == NAMES_MAX || n < *against)) {
			best = i;
			*against = n;
		}
	}
	if (best < NAMES_MAX && *against > AGREE(l->letter[c] +
	    l->name[best]))
		best = NAMES_MAX;
	return best;
}

static void
print_flags(const struct learn *l, struct buf *out)
{
	bool explained[NAMES_MAX] = { false };
	struct buf notes;
	uint64_t against;
	size_t i;
	int c;

	buf_init(&notes, 64 * 1024);
	buf_adds(out, "flag-letters =");
	for (c = 0x21; c < 0x7f; c++) {
		if (l->letter[c] == 0)
			continue;
		i = meaning(l, c, &against);
		buf_addf(out, " %c:%s", c, i < NAMES_MAX ? l->names[i] : "-");
		if (i < NAMES_MAX) {
			explained[i] = true;
			buf_addf(&notes, "; %c is %s: %" PRIu64 " messages say "
			    "so, %" PRIu64 " contradict\n", c, l->names[i],
			    l->both[c][i], against);
		} else
			buf_addf(&notes, "; %c is on %" PRIu64 " messages and "
			    "agrees with no flag\n", c, l->letter[c]);
	}
	buf_addc(out, '\n');
	buf_add(out, notes.ptr, notes.len);
	for (i = 0; i < l->nnames; i++)
		if (l->name[i] > 0 && !explained[i])
			buf_addf(out, "; %s is on %" PRIu64 " messages, and no "
			    "letter stands for it\n", l->names[i],
			    l->name[i]);
	buf_release(&notes);
}

static void
print_zone(const struct learn *l, enum cgp_kind kind, struct buf *out)
{
	static const char *const what[] = {
		"names in MailDir mailboxes", "separators in text mailboxes"
	};
	uint64_t sum = l->odd[kind];
	int i, best = 60, minutes;

	for (i = 0; i < OFFSETS; i++) {
		sum += l->offset[kind][i];
		if (l->offset[kind][i] > l->offset[kind][best])
			best = i;
	}
	if (sum == 0)
		return;
	minutes = (best - 60) * 15;
	if (l->offset[kind][best] == 0) {
		buf_addf(out, "; times of %s: none of %" PRIu64 " fits a "
		    "zone\n", what[kind], sum);
		return;
	}
	if (kind == CGP_MBOX && minutes == 0)
		buf_adds(out, "zone = utc\n");
	else if (kind == CGP_MBOX)
		buf_addf(out, "zone = %c%02d%02d\n", minutes < 0 ? '-' : '+',
		    abs(minutes) / 60, abs(minutes) % 60);
	buf_addf(out, "; times of %s are %+d minutes from UTC: %" PRIu64
	    " messages say so, %" PRIu64 " contradict\n", what[kind], minutes,
	    l->offset[kind][best], sum - l->offset[kind][best]);
}

static void
print_tail(const struct learn *l, enum cgp_kind kind, struct buf *out)
{
	static const char *const what[] = {
		"; what follows the time in names of files",
		"; what follows the time in separators"
	};
	static const char *const names[TAILS] = {
		"there is nothing", "the UID", "a time in seconds", "the size",
		"not understood"
	};
	const char *sep = ":";
	int i;

	for (i = 0; i < TAILS; i++) {
		if (l->tail[kind][i] == 0)
			continue;
		buf_addf(out, "%s%s %" PRIu64 " times %s", sep[0] == ':' ?
		    what[kind] : "", sep, l->tail[kind][i], names[i]);
		sep = ",";
	}
	if (sep[0] == ',')
		buf_addc(out, '\n');
}

static void
print_all(const struct learn *l, struct buf *out)
{
	buf_addf(out, "; learnt from %" PRIu64 " messages that are on disk and "
	    "at the server; %" PRIu64 " are on disk only\n", l->joined,
	    l->missing);
	if (l->joined == 0)
		return;
	print_flags(l, out);
	print_zone(l, CGP_MDIR, out);
	print_zone(l, CGP_MBOX, out);
	print_tail(l, CGP_MDIR, out);
	print_tail(l, CGP_MBOX, out);
	buf_addf(out, "; lines end in LF in %" PRIu64 " messages, in CR LF in "
	    "%" PRIu64 ", in both in %" PRIu64 "\n", l->lf, l->crlf,
	    l->mixed);
	buf_addf(out, "; with CR LF %" PRIu64 " have the size that the server "
	    "tells, %" PRIu64 " another one\n", l->same_size, l->other_size);
	buf_addf(out, "; lines \">From \" are in %" PRIu64 " messages\n",
	    l->quoted);
	buf_addf(out, "; UIDVALIDITY in account.info is the server's for %"
	    PRIu64 " mailboxes, another one for %" PRIu64 "\n", l->validity,
	    l->other_validity);
}

int
cgp_calibrate(struct source *disk, struct source *server,
    uint64_t read_most, struct buf *out, uint64_t *joined, struct err *e)
{
	struct learn *l = xcalloc(1, sizeof *l);
	struct folder_info *mine, *theirs;
	size_t n, k, i, j;
	struct arena a;
	int rc = 0;

	assert(disk->ops == &cgp_source);
	l->disk = (struct cgp *)disk;
	l->server = server;
	l->left = read_most;
	for (i = 0; i < sizeof system_flags / sizeof system_flags[0]; i++)
		name_bit(l, system_flags[i]);
	arena_init(&a);
	if (source_list(disk, &a, &mine, &n, e) == -1 ||
	    source_list(server, &a, &theirs, &k, e) == -1)
		rc = -1;
	for (i = 0; rc == 0 && i < n; i++) {
		if (mine[i].noselect || mine[i].refused != NULL)
			continue;
		for (j = 0; j < k; j++)
			if (!theirs[j].noselect && theirs[j].refused == NULL &&
			    same_path(&mine[i], &theirs[j]))
				break;
		if (j < k)
			rc = learn_folder(l, &mine[i], &theirs[j], e);
		else
			source_warn(disk, mine[i].name, "is not at the "
			    "server");
	}
	if (rc == 0)
		print_all(l, out);
	*joined = l->joined;
	for (i = 0; i < l->nnames; i++)
		free(l->names[i]);
	free(l->told);
	free(l);
	arena_release(&a);
	return rc;
}
