/* Pass 1 over a content: CRLF size, digests, oddities. */
#include "measure.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/xmalloc.h"
#include "crlf.h"

#define CHUNK	((size_t)32 * 1024)
#define RUN_MAX	1024		/* bytes of the body at a time */
#define NAME_MAX_LEN 1000	/* bytes of a field name that we look at */

/* Where the loose form stands in the message. */
enum place {
	IN_LEAD,	/* at the very start */
	IN_NAME,	/* at a header line's start: name[] holds it */
	IN_FIELD,	/* in a header line that counts */
	IN_SKIPPED,	/* in a header line that is left out */
	IN_GAP,		/* empty lines between header and body */
	IN_BODY
};

/* Where the munged form stands. */
enum munging {
	MUNGE_LINE_START,	/* in the header, after a line end */
	MUNGE_LINE,		/* in the header, within a line */
	MUNGE_BODY
};

struct measure {
	EVP_MD		*sha, *sha_1;	/* sha_1 NULL: not wanted yet */
	EVP_MD_CTX	*strict, *loose;
	EVP_MD_CTX	*sha1, *munged;
	bool		 want_sha1, only_strict;
	bool		 with_sha1;	/* for this message */
	bool		 has_munged;	/* the two differ by now */
	enum munging	 munging;
	struct crlf	 crlf;
	uint64_t	 size, raw_size;
	unsigned	 oddities;
	bool		 raw_cr;	/* the last raw byte was a CR */
	/* loose form */
	enum place	 place;
	bool		 skipping;	/* the last field was left out */
	bool		 any_line;	/* a header line came already */
	bool		 line_cr;	/* a CR opened the line */
	uint64_t	 newlines;	/* seen, not yet emitted */
	size_t		 name_len;
	size_t		 out_len;
	char		 name[NAME_MAX_LEN];
	char		 out[CHUNK];
	char		 conv[2 * CHUNK];
};

static void
die_if(bool failed)
{
	if (failed)
		abort();	/* the digest of libcrypto cannot fail */
}

struct measure *
measure_new(void)
{
	struct measure *m = xcalloc(1, sizeof *m);

	m->sha = EVP_MD_fetch(NULL, "SHA256", NULL);
	m->strict = EVP_MD_CTX_new();
	m->loose = EVP_MD_CTX_new();
	die_if(m->sha == NULL || m->strict == NULL || m->loose == NULL);
	return m;
}

void
measure_free(struct measure **mp)
{
	struct measure *m = *mp;

	if (m == NULL)
		return;
	EVP_MD_CTX_free(m->strict);
	EVP_MD_CTX_free(m->loose);
	EVP_MD_CTX_free(m->sha1);
	EVP_MD_CTX_free(m->munged);
	EVP_MD_free(m->sha);
	EVP_MD_free(m->sha_1);
	free(m);
	*mp = NULL;
}

void
measure_want_sha1(struct measure *m, bool want)
{
	m->want_sha1 = want;
	if (!want || m->sha_1 != NULL)
		return;
	m->sha_1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	m->sha1 = EVP_MD_CTX_new();
	m->munged = EVP_MD_CTX_new();
	die_if(m->sha_1 == NULL || m->sha1 == NULL || m->munged == NULL);
}

bool
measure_gives_sha1(const struct measure *m)
{
	return m->want_sha1;
}

void
measure_want_strict(struct measure *m, bool only)
{
	m->only_strict = only;
}

void
measure_begin(struct measure *m)
{
	m->with_sha1 = m->want_sha1;
	m->has_munged = false;
	m->munging = MUNGE_LINE_START;
	if (m->with_sha1)
		die_if(EVP_DigestInit_ex2(m->sha1, m->sha_1, NULL) != 1);
	die_if(EVP_DigestInit_ex2(m->strict, m->sha, NULL) != 1);
	die_if(EVP_DigestInit_ex2(m->loose, m->sha, NULL) != 1);
	m->crlf.last_cr = false;
	m->size = m->raw_size = 0;
	m->oddities = 0;
	m->raw_cr = false;
	m->place = IN_LEAD;
	m->skipping = m->any_line = m->line_cr = false;
	m->newlines = 0;
	m->name_len = m->out_len = 0;
}

static void
out_flush(struct measure *m)
{
	if (m->out_len > 0)
		die_if(EVP_DigestUpdate(m->loose, m->out, m->out_len) != 1);
	m->out_len = 0;
}

static inline void
out_raw(struct measure *m, char c)
{
	if (m->out_len == sizeof m->out)
		out_flush(m);
	m->out[m->out_len++] = c;
}

static inline void
out_byte(struct measure *m, char c)
{
	while (m->newlines > 0) {
		out_raw(m, '\n');
		m->newlines--;
	}
	out_raw(m, c);
}

static void
header_byte(struct measure *m, unsigned char c)
{
	if (c >= 0x80)
		m->oddities |= ODD_8BIT_HEADER;
	out_byte(m, c >= 0x80 || c == 0 ? 'X' : (char)c);
}

static inline void
body_byte(struct measure *m, unsigned char c)
{
	out_byte(m, c == 0 || c == 0x80 ? ' ' : (char)c);
}

/* Fields that containers and tools add or drop; bytes that become an 'X' are
 * compared as one. */
static bool
is_skipped_field(const char *raw, size_t n)
{
	static const char *const names[] = {
		"x-uid", "x-tuid", "x-offlineimap", "status", "x-status",
		"x-keywords", "x-imapbase", "x-imap", "content-length",
	};
	char p[16];

	if (n > sizeof p)
		return false;
	for (size_t i = 0; i < n; i++)
		p[i] = raw[i] == '\0' || (unsigned char)raw[i] >= 0x80 ? 'X' :
		    raw[i];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], p, n) == 0)
			return true;
	return false;
}

/* NUL counts: it stands for a byte >= 0x80 or for the 'X' of a repair. */
static bool
is_name_byte(unsigned char c)
{
	return (c > 0x20 && c != 0x7f && c != ':') || c == 0;
}

/* The header is over; what name[] holds opens the body. */
static void
name_is_body(struct measure *m)
{
	size_t i, n = m->name_len;

	m->place = IN_BODY;
	m->name_len = 0;
	for (i = 0; i < n; i++)
		body_byte(m, (unsigned char)m->name[i]);
}

static void
name_is_field(struct measure *m)
{
	size_t i, n = m->name_len;

	m->any_line = true;
	m->name_len = 0;
	if (m->skipping) {
		m->place = IN_SKIPPED;
		return;
	}
	m->place = IN_FIELD;
	for (i = 0; i < n; i++)
		header_byte(m, (unsigned char)m->name[i]);
}

/* One byte at the start of a header line, until the line is known. */
static void
name_byte(struct measure *m, unsigned char c)
{
	if (c == '\n') {
		if (m->name_len == 0) {
			m->place = IN_GAP;
			return;
		}
		m->oddities |= ODD_BAD_HEADER;
		name_is_body(m);
		m->newlines++;
		return;
	}
	if (m->name_len == 0 && (c == ' ' || c == '\t')) {
		m->name[m->name_len++] = (char)c;
		name_is_field(m);	/* continuation: as the field before */
		return;
	}
	if (c == ':' && m->name_len > 0) {
		m->skipping = is_skipped_field(m->name, m->name_len);
		m->name[m->name_len++] = (char)c;
		name_is_field(m);
		return;
	}
	if (c == ' ' && !m->any_line && m->name_len == 4 &&
	    memcmp(m->name, "From", 4) == 0) {
		m->skipping = false;
		m->name[m->name_len++] = (char)c;
		name_is_field(m);
		return;
	}
	m->name[m->name_len++] = (char)c;
	if (!is_name_byte(c) || m->name_len == NAME_MAX_LEN - 1) {
		m->oddities |= ODD_BAD_HEADER;
		name_is_body(m);
	}
}

/*
 * The body from s on up to a CR, or RUN_MAX bytes, in one go; the LFs at its end
 * become newlines.  Returns where it stopped.
 */
static const unsigned char *
loose_run(struct measure *m, const unsigned char *s, const unsigned char *end)
{
	const unsigned char *last, *cr;
	size_t n;
	char *o;

	if (end - s > RUN_MAX)
		end = s + RUN_MAX;
	if ((cr = memchr(s, '\r', (size_t)(end - s))) != NULL)
		end = cr;
	for (last = end; last > s && last[-1] == '\n'; last--)
		;
	if (last > s) {
		n = (size_t)(last - s);
		for (; m->newlines > 0; m->newlines--)
			out_raw(m, '\n');
		if (n > sizeof m->out - m->out_len)
			out_flush(m);
		o = m->out + m->out_len;
		if (memchr(s, '\0', n) == NULL && memchr(s, 0x80, n) == NULL)
			memcpy(o, s, n);
		else
			for (size_t i = 0; i < n; i++)
				o[i] = s[i] == 0 || s[i] == 0x80 ? ' ' :
				    (char)s[i];
		m->out_len += n;
	}
	m->newlines += (uint64_t)(end - last);
	return end;
}

static void
loose_add(struct measure *m, const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p, *end = s + n;

	for (; s < end; s++) {
		unsigned char c;

		while (m->place == IN_BODY && !m->line_cr && s < end &&
		    *s != '\r')
			s = loose_run(m, s, end);
		if (s == end)
			break;
		c = *s;
		if (c == '\r') {
			/* In a field's name only a line end may follow. */
			if (m->place == IN_NAME && m->name_len > 0) {
				m->oddities |= ODD_BAD_HEADER;
				name_is_body(m);
			}
			m->line_cr = m->place == IN_NAME ||
			    m->place == IN_LEAD;
			continue;
		}
		if (m->line_cr && c != '\n') {
			m->oddities |= ODD_BAD_HEADER;
			m->place = IN_BODY;
		}
		m->line_cr = false;
		switch (m->place) {
		case IN_BODY:
			if (c == '\n')
				m->newlines++;
			else
				body_byte(m, c);
			break;
		case IN_LEAD:
			/* A message that starts with an empty line has no
			 * header; the line itself may be a repair's. */
			m->place = c == '\n' ? IN_GAP : IN_NAME;
			if (c != '\n')
				name_byte(m, c);
			break;
		case IN_NAME:
			name_byte(m, c);
			break;
		case IN_FIELD:
			if (c == '\n') {
				m->newlines++;
				m->place = IN_NAME;
			} else
				header_byte(m, c);
			break;
		case IN_SKIPPED:
			if (c == '\n')
				m->place = IN_NAME;
			break;
		case IN_GAP:
			if (c == '\n')
				break;
			m->place = IN_BODY;
			body_byte(m, c);
			break;
		}
	}
}

/* Oddities that do not depend on the place; *p is stored form. */
static void
look_for_oddities(struct measure *m, const char *p, size_t n)
{
	const char *end = p + n, *q;

	if (memchr(p, '\0', n) != NULL)
		m->oddities |= ODD_NUL;
	if (m->raw_cr && *p != '\n')
		m->oddities |= ODD_BARE_CR;
	for (q = p; !(m->oddities & ODD_BARE_CR) &&
	    (q = memchr(q, '\r', (size_t)(end - q))) != NULL; q++)
		if (q + 1 < end && q[1] != '\n')
			m->oddities |= ODD_BARE_CR;
	for (q = p; !(m->oddities & ODD_BARE_LF) &&
	    (q = memchr(q, '\n', (size_t)(end - q))) != NULL; q++)
		if (q > p ? q[-1] != '\r' : !m->raw_cr)
			m->oddities |= ODD_BARE_LF;
	m->raw_cr = end[-1] == '\r';
}

/* The first n bytes as Cyrus keeps them: the header's 8-bit ones as 'X'. */
static void
munged_run(struct measure *m, const char *p, size_t n)
{
	char out[1024];

	while (n > 0) {
		size_t k = n < sizeof out ? n : sizeof out;

		for (size_t i = 0; i < k; i++)
			out[i] = (unsigned char)p[i] >= 0x80 ? 'X' : p[i];
		die_if(EVP_DigestUpdate(m->munged, out, k) != 1);
		p += k;
		n -= k;
	}
}

/* n bytes of the CRLF form.  The second digest begins as a copy of the first
 * where the two forms part, which they rarely do. */
static void
sha1_add(struct measure *m, const char *p, size_t n)
{
	size_t header = 0, first = n;

	while (header < n && m->munging != MUNGE_BODY) {
		char c = p[header];

		if ((unsigned char)c >= 0x80 && first == n)
			first = header;
		if (c == '\n')
			m->munging = m->munging == MUNGE_LINE_START ?
			    MUNGE_BODY : MUNGE_LINE_START;
		else if (c != '\r')
			m->munging = MUNGE_LINE;
		header++;
	}
	if (!m->has_munged && first < n) {
		die_if(EVP_DigestUpdate(m->sha1, p, first) != 1);
		die_if(EVP_MD_CTX_copy_ex(m->munged, m->sha1) != 1);
		m->has_munged = true;
		p += first;
		header -= first;
		n -= first;
	}
	die_if(EVP_DigestUpdate(m->sha1, p, n) != 1);
	if (m->has_munged) {
		munged_run(m, p, header);
		die_if(EVP_DigestUpdate(m->munged, p + header, n - header) !=
		    1);
	}
}

void
measure_add(struct measure *m, const char *p, size_t n, struct buf *keep)
{
	while (n > 0) {
		size_t k = n < CHUNK ? n : CHUNK, w;

		if (!m->only_strict)
			look_for_oddities(m, p, k);
		w = crlf_convert(&m->crlf, p, k, m->conv);
		die_if(EVP_DigestUpdate(m->strict, m->conv, w) != 1);
		if (m->with_sha1)
			sha1_add(m, m->conv, w);
		if (keep != NULL && !keep->full)
			buf_add(keep, m->conv, w);
		if (!m->only_strict)
			loose_add(m, p, k);
		m->size += w;
		m->raw_size += k;
		p += k;
		n -= k;
	}
}

void
measure_end(struct measure *m, struct measured *r)
{
	unsigned int len;

	if (m->raw_cr)
		m->oddities |= ODD_BARE_CR;
	if (m->raw_size == 0)
		m->oddities |= ODD_EMPTY;
	if (m->place == IN_NAME && m->name_len > 0) {
		m->oddities |= ODD_BAD_HEADER;
		name_is_body(m);
	} else if (m->place == IN_FIELD || m->place == IN_SKIPPED)
		m->oddities |= ODD_NO_END;
	out_flush(m);
	r->size = m->size;
	r->raw_size = m->raw_size;
	r->oddities = m->oddities;
	die_if(EVP_DigestFinal_ex(m->strict, r->digests.strict, &len) != 1);
	die_if(EVP_DigestFinal_ex(m->loose, r->digests.loose, &len) != 1);
	r->digests.has_sha1 = m->with_sha1;
	memset(r->digests.sha1, 0, SHA1_LEN);
	memset(r->digests.munged, 0, SHA1_LEN);
	if (m->with_sha1) {
		die_if(EVP_DigestFinal_ex(m->sha1, r->digests.sha1, &len) !=
		    1);
		memcpy(r->digests.munged, r->digests.sha1, SHA1_LEN);
	}
	if (m->has_munged)
		die_if(EVP_DigestFinal_ex(m->munged, r->digests.munged,
		    &len) != 1);
	if (fault_mutated("loose"))
		memcpy(r->digests.loose, r->digests.strict, DIGEST_LEN);
}

int
measure_content(struct measure *m, struct content *c, struct buf *keep,
    struct measured *r, struct err *e)
{
	char *chunk = xmalloc(CHUNK);
	ssize_t n;

	measure_begin(m);
	while ((n = content_read(c, chunk, CHUNK, e)) > 0)
		measure_add(m, chunk, (size_t)n, keep);
	free(chunk);
	if (n == -1)
		return -1;
	measure_end(m, r);
	return 0;
}

/* Copies a header value for people: folded lines joined, controls to '?'. */
static void
copy_value(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (p < end && n + 1 < size) {
		unsigned char c = (unsigned char)*p++;

		if (c == '\r' || c == '\n')
			continue;
		if (c == '\t')
			c = ' ';
		out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}

void
header_brief(const char *p, size_t len, char *message_id, size_t idsize,
    char *subject, size_t subsize)
{
	const char *end = p + len, *line, *value, *next;

	if (message_id != NULL)
		message_id[0] = '\0';
	if (subject != NULL)
		subject[0] = '\0';
	for (line = p; line < end; line = next) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));

		if (*line == '\n' || *line == '\r')
			return;
		/* Folded lines belong to the field. */
		while (lf != NULL && lf + 1 < end &&
		    (lf[1] == ' ' || lf[1] == '\t'))
			lf = memchr(lf + 1, '\n', (size_t)(end - lf - 1));
		next = lf == NULL ? end : lf + 1;
		value = memchr(line, ':', (size_t)(next - line));
		if (value == NULL)
			continue;
		if (message_id != NULL && value - line == 10 &&
		    strncasecmp(line, "message-id", 10) == 0 &&
		    message_id[0] == '\0')
			copy_value(value + 1, next, message_id, idsize);
		else if (subject != NULL && value - line == 7 &&
		    strncasecmp(line, "subject", 7) == 0 && subject[0] == '\0')
			copy_value(value + 1, next, subject, subsize);
	}
}
