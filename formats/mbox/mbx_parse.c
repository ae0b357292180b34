/*
 * UW's mbx format (c-client).
 *
 *	*mbx*CRLF vvvvvvvvllllllll CRLF		UIDVALIDITY, last UID (hex)
 *	{ keyword CRLF } x 30			names, or empty lines
 *	filled up to 2048 bytes
 *	{ dd-Mmm-yyyy hh:mm:ss +zzzz,SIZE;kkkkkkkkffff-uuuuuuuu CRLF
 *	  SIZE bytes }...
 *
 * k: a bit for each keyword, from the lowest; f: MBX_* flags; u: UID, all hex.
 * Lines of a message end in CR LF and nothing in it is quoted.  A keyword list
 * may end early in NULs.
 */
#include "mbox/mbx_parse.h"

#include <inttypes.h>
#include <string.h>

#define HEADER	2048

/* Exactly n hex digits. */
static int
hex(const char *p, size_t n, uint32_t *v)
{
	*v = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned d;

		if (p[i] >= '0' && p[i] <= '9')
			d = (unsigned)(p[i] - '0');
		else if (p[i] >= 'a' && p[i] <= 'f')
			d = (unsigned)(p[i] - 'a') + 10;
		else if (p[i] >= 'A' && p[i] <= 'F')
			d = (unsigned)(p[i] - 'A') + 10;
		else
			return -1;
		*v = *v << 4 | d;
	}
	return 0;
}

/* n bytes, or as many as there are. */
static ssize_t
read_some(struct mbx *m, char *p, size_t n, uint64_t off, struct err *e)
{
	size_t done = 0;

	if (n > m->size - off)
		n = (size_t)(m->size - off);
	while (done < n) {
		ssize_t got = m->read(m->ctx, p + done, n - done, off + done,
		    e);

		if (got == -1)
			return -1;
		if (got == 0) {
			err_retry(e, ERR_MAILBOX,
			    "file became shorter while read");
			e->cause = CAUSE_CHANGED;
			return -1;
		}
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static void
read_keywords(struct mbx *m, size_t len)
{
	char *p = m->names, *end = m->names + len;

	*end = '\0';
	for (int i = 0; i < MBX_KEYWORDS && p < end; i++) {
		char *nl = memchr(p, '\n', (size_t)(end - p));
		char *nul = memchr(p, '\0', (size_t)(end - p));

		if (nl == NULL || (nul != NULL && nul < nl))
			break;
		*nl = '\0';
		if (nl > p && nl[-1] == '\r')
			nl[-1] = '\0';
		if (*p != '\0')
			m->keywords[i] = p;
		p = nl + 1;
	}
}

int
mbx_start(struct mbx *m, ssize_t (*read)(void *, void *, size_t, uint64_t,
    struct err *), void *ctx, uint64_t size, struct err *e)
{
	char p[HEADER];
	ssize_t n;

	memset(m, 0, sizeof *m);
	m->read = read;
	m->ctx = ctx;
	m->size = size;
	if ((n = read_some(m, p, sizeof p, 0, e)) == -1)
		return -1;
	if (n < HEADER || memcmp(p, "*mbx*\r\n", 7) != 0 ||
	    hex(p + 7, 8, &m->uidvalidity) == -1 ||
	    hex(p + 15, 8, &m->last_uid) == -1 ||
	    memcmp(p + 23, "\r\n", 2) != 0)
		return err_set(e, ERR_MAILBOX,
		    "the header of this mbx file is damaged");
	memcpy(m->names, p + 25, HEADER - 25);
	read_keywords(m, HEADER - 25);
	m->pos = HEADER;
	return 0;
}

/* Reads a record line that n bytes at p begin with; its length, or 0. */
static size_t
record(const char *p, size_t n, struct mbx_msg *msg, uint64_t *bytes)
{
	const char *nl = memchr(p, '\n', n), *q, *end;
	uint32_t flags;

	if (nl == NULL || nl == p || nl[-1] != '\r')
		return 0;
	end = nl - 1;
	if (end - p < 26 + 1 + 1 + 1 + 12 + 1 + 8 || p[26] != ',' ||
	    date_parse_internal(p, 26, &msg->date) == -1)
		return 0;
	*bytes = 0;
	for (q = p + 27; q < end && *q >= '0' && *q <= '9'; q++) {
		if (*bytes > (uint64_t)INT64_MAX / 10 - 9)
			return 0;
		*bytes = *bytes * 10 + (uint64_t)(*q - '0');
	}
	if (q == p + 27 || end - q != 1 + 12 + 1 + 8 || q[0] != ';' ||
	    hex(q + 1, 8, &msg->keywords) == -1 ||
	    hex(q + 9, 4, &flags) == -1 || q[13] != '-' ||
	    hex(q + 14, 8, &msg->uid) == -1)
		return 0;
	msg->flags = flags;
	return (size_t)(nl - p) + 1;
}

int
mbx_at(struct mbx *m, uint64_t from, struct mbx_msg *msg, struct err *e)
{
	char p[128];
	uint64_t bytes = 0;
	size_t len;
	ssize_t n;

	memset(msg, 0, sizeof *msg);
	n = len = 0;
	if (from < m->size) {
		if ((n = read_some(m, p, sizeof p, from, e)) == -1)
			return -1;
		len = record(p, (size_t)n, msg, &bytes);
	}
	if (len == 0)
		return err_set(e, ERR_MAILBOX, "mbx record at offset %" PRIu64
		    " is damaged: nothing from there on can be read", from);
	msg->from = from;
	msg->start = from + len;
	if (bytes > m->size - msg->start)
		return err_set(e, ERR_MAILBOX, "mbx record at offset %" PRIu64
		    " names more bytes than the file has", from);
	msg->end = msg->start + bytes;
	return 0;
}

int
mbx_next(struct mbx *m, struct mbx_msg *msg, struct err *e)
{
	if (m->pos >= m->size)
		return 0;
	if (mbx_at(m, m->pos, msg, e) == -1)
		return -1;
	m->pos = msg->end;
	return 1;
}
