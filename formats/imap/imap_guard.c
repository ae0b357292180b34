/* What libetpan may see of a server. */
#include "imap/imap_guard.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define RESPONSE_MAX	((uint64_t)64 << 10)
#define CHALLENGES_MAX	8	/* no mechanism has more */
#define CHALLENGE_MAX	8192	/* base64 characters */
#define SKIPPED_MAX	10000	/* responses in a row that are left out */

static void
keep(struct imap_guard *g, const struct imap_response *rs)
{
	g->status = rs->status;
	memcpy(g->code, rs->code, sizeof g->code);
	snprintf(g->text, sizeof g->text, "%.290s", rs->text);
	g->args_cut = strlen(rs->args) >= sizeof g->args;
	snprintf(g->args, sizeof g->args, "%s", g->args_cut ? "" : rs->args);
}

/* Appends the words of a status, harmless. */
static void
add_text(struct buf *out, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n < 200; text++)
		if ((unsigned char)*text >= 0x20 &&
		    (unsigned char)*text < 0x7f && (n > 0 || (*text != '[' &&
		    *text != ' '))) {
			buf_addc(out, *text);
			n++;
		}
	buf_adds(out, n == 0 ? "-\r\n" : "\r\n");
}

static bool
is_base64(const char *p)
{
	size_t n = strlen(p), pad = 0;

	if (n > CHALLENGE_MAX || n % 4 != 0)
		return false;
	while (pad < 2 && pad < n && p[n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < n - pad; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '+' &&
		    p[i] != '/')
			return false;
	return true;
}

int
imap_guard_next(struct imap_guard *g, struct buf *out, struct err *e)
{
	static const char *const names[] = {
		"OK", "NO", "BAD", "BYE", "PREAUTH"
	};
	struct imap_response rs;

	for (unsigned n = 0; n < SKIPPED_MAX; n++) {
		if (imap_read_response(g->r, &rs, RESPONSE_MAX, e) == -1)
			return -1;
		switch (rs.kind) {
		case IMAP_DATA:
			if (imap_skip_line(g->r, e) == -1)
				return -1;
			continue;
		case IMAP_STATUS:
			if (rs.status == IMAP_BYE)
				g->bye = true;
			if (g->greeted) {
				/* The words of a BYE outlive the end that
				 * follows it. */
				if (rs.status == IMAP_BYE)
					keep(g, &rs);
				continue;
			}
			if (rs.status == IMAP_NO || rs.status == IMAP_BAD)
				return imap_protocol(g->r, "no greeting", e);
			keep(g, &rs);
			if (rs.status == IMAP_BYE)
				return err_retry(e, ERR_HOST, "the server "
				    "turns us away: %s", g->text);
			g->greeted = true;
			buf_addf(out, "* %s ", names[rs.status]);
			add_text(out, rs.text);
			return 0;
		case IMAP_TAGGED:
			if (!g->greeted)
				return imap_protocol(g->r, "no greeting", e);
			keep(g, &rs);
			g->challenges = 0;
			buf_addf(out, "%s %s ", rs.tag, names[rs.status]);
			add_text(out, rs.text);
			return 0;
		case IMAP_CONTINUE:
			if (!g->greeted)
				return imap_protocol(g->r, "no greeting", e);
			if (++g->challenges > CHALLENGES_MAX)
				return imap_protocol(g->r, "too many "
				    "challenges", e);
			/* Some servers put words where nothing is expected. */
			if (g->challenges == 1 && !is_base64(rs.text)) {
				buf_adds(out, "+ \r\n");
				return 0;
			}
			if (!is_base64(rs.text))
				return imap_protocol(g->r, "a challenge that "
				    "is not base64", e);
			buf_addf(out, "+ %s\r\n", rs.text);
			return 0;
		default:
			return imap_protocol(g->r, "nothing known", e);
		}
	}
	return imap_protocol(g->r, "talks without an answer", e);
}
