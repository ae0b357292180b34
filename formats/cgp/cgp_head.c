/* Headers: dates, the envelope of queue files, UW's internal message. */
#include "cgp/cgp_head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/date.h"
#include "base/xmalloc.h"

#define HEAD_MAX	((size_t)64 * 1024)
#define PREAMBLE_MAX	((size_t)32 * 1024)

/* Up to n bytes; the caller frees. */
static char *
read_at(int fd, uint64_t off, size_t n, size_t *got)
{
	char *p = xmalloc(n + 1);
	ssize_t k = 1;

	for (*got = 0; *got < n && k > 0; *got += k > 0 ? (size_t)k : 0) {
		do
			k = pread(fd, p + *got, n - *got,
			    (off_t)(off + *got));
		while (k == -1 && errno == EINTR);
	}
	if (k == -1 && *got == 0) {
		free(p);
		return NULL;
	}
	p[*got] = '\0';
	return p;
}

/* The first field of that name in a header: its value with continuation lines,
 * or NULL. */
static const char *
field(const char *p, size_t len, const char *name, size_t *nvalue)
{
	const char *end = p + len, *lf, *v;
	size_t n = strlen(name);

	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			lf = end;
		if (lf == p || (lf == p + 1 && *p == '\r'))
			return NULL;
		if ((size_t)(lf - p) <= n || p[n] != ':' ||
		    strncasecmp(p, name, n) != 0)
			continue;
		v = p + n + 1;
		while (lf + 1 < end && (lf[1] == ' ' || lf[1] == '\t')) {
			lf = memchr(lf + 1, '\n', (size_t)(end - lf - 1));
			if (lf == NULL)
				lf = end;
		}
		*nvalue = (size_t)(lf - v);
		return v;
	}
	return NULL;
}

static bool
set_date(const char *p, size_t n, enum date_origin origin,
    struct msg_meta *m)
{
	struct date d;

	if (date_parse_822(p, n, &d) == -1)
		return false;
	m->date = d.epoch;
	m->zone = d.zone;
	m->date_origin = origin;
	return true;
}

bool
cgp_head_date(int fd, uint64_t off, uint64_t len, bool also_date,
    struct msg_meta *m)
{
	const char *v, *semi;
	bool found = false;
	size_t got, n;
	char *p;

	p = read_at(fd, off, len < HEAD_MAX ? (size_t)len : HEAD_MAX, &got);
	if (p == NULL)
		return false;
	if ((v = field(p, got, "Received", &n)) != NULL &&
	    (semi = memrchr(v, ';', n)) != NULL)
		found = set_date(semi + 1, n - (size_t)(semi + 1 - v),
		    DATE_RECEIVED, m);
	if (!found && also_date && (v = field(p, got, "Date", &n)) != NULL)
		found = set_date(v, n, DATE_HEADER, m);
	free(p);
	return found;
}

/* "Name:" of printable bytes. */
static bool
starts_field(const char *p, const char *end)
{
	const char *q = p;

	while (q < end && *q > 0x20 && *q < 0x7f && *q != ':')
		q++;
	return q > p && q < end && *q == ':';
}

uint64_t
cgp_preamble_length(const char *p, uint64_t n)
{
	const char *begin = p, *end = p + n, *lf;
	bool sender = false, recipient = false;

	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (lf == NULL)
			return 0;
		if (lf == p || (lf == p + 1 && *p == '\r')) {
			/* A header that looks so by chance would have to have
			 * all of this. */
			if (!sender || !recipient || !starts_field(lf + 1,
			    end))
				return 0;
			return (uint64_t)(lf + 1 - begin);
		}
		if (*p < 'A' || *p > 'Z' || lf == p + 1 || p[1] != ' ')
			return 0;
		sender = sender || *p == 'P';
		recipient = recipient || *p == 'R';
	}
	return 0;
}

int64_t
cgp_head_preamble(int fd)
{
	int64_t at = 0;
	char start[2];
	ssize_t k;
	size_t got;
	char *p;

	do
		k = pread(fd, start, sizeof start, 0);
	while (k == -1 && errno == EINTR);
	if (k == -1)
		return -1;
	if (k < 2 || start[0] < 'A' || start[0] > 'Z' || start[1] != ' ')
		return 0;
	if ((p = read_at(fd, 0, PREAMBLE_MAX, &got)) == NULL)
		return -1;
	at = (int64_t)cgp_preamble_length(p, got);
	free(p);
	return at;
}

bool
cgp_head_internal(int fd, uint64_t off, uint64_t len)
{
	const char *from;
	size_t got, n;
	bool internal;
	char *p;

	p = read_at(fd, off, len < HEAD_MAX ? (size_t)len : HEAD_MAX, &got);
	if (p == NULL)
		return false;
	from = field(p, got, "From", &n);
	internal = from != NULL && memmem(from, n,
	    "Mail System Internal Data", 25) != NULL;
	internal = internal && field(p, got, "Received", &n) == NULL &&
	    (field(p, got, "X-IMAP", &n) != NULL ||
	    field(p, got, "X-IMAPbase", &n) != NULL);
	free(p);
	return internal;
}
