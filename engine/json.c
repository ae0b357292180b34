/* A streaming JSON writer. */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/mutf7.h"
#include "text.h"

void
json_start(struct json *j, FILE *out)
{
	memset(j, 0, sizeof *j);
	j->out = out;
}

/* Bytes of the valid UTF-8 character at s, 0 if there is none. */
static size_t
utf8_length(const char *s, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (utf8_valid(s, n))
			return n;
	return 0;
}

static void
put_string(FILE *out, const char *s)
{
	size_t left = strlen(s), n;

	putc('"', out);
	for (; left > 0; s += n, left -= n) {
		unsigned char c = (unsigned char)*s;

		n = 1;
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else if (c < 0x80)
			putc(c, out);
		else if (c == 0xc2 && left > 1 && (unsigned char)s[1] < 0xa0) {
			/* C1 controls would be obeyed by a terminal. */
			fprintf(out, "\\u00%02x", (unsigned char)s[1]);
			n = 2;
		} else if ((n = utf8_length(s, left)) == 3 &&
		    text_shown(s) == 0) {
			/* Ends of lines to some, and marks that turn them. */
			fprintf(out, "\\u%04x", (c & 0xfu) << 12 |
			    ((unsigned char)s[1] & 0x3fu) << 6 |
			    ((unsigned char)s[2] & 0x3fu));
		} else if (n > 0)
			fwrite(s, 1, n, out);
		else {
			fputs("\\ufffd", out);
			n = 1;
		}
	}
	putc('"', out);
}

static void
before(struct json *j, const char *key)
{
	if (j->comma[j->depth])
		putc(',', j->out);
	j->comma[j->depth] = true;
	if (j->depth > 0 && j->depth <= 2 && !j->flat)
		putc('\n', j->out);
	if (key != NULL) {
		put_string(j->out, key);
		putc(':', j->out);
	}
}

void
json_open(struct json *j, const char *key, char bracket)
{
	before(j, key);
	putc(bracket, j->out);
	j->depth++;
	assert(j->depth < sizeof j->comma / sizeof *j->comma);
	j->comma[j->depth] = false;
}

void
json_close(struct json *j, char bracket)
{
	assert(j->depth > 0);
	j->depth--;
	putc(bracket, j->out);
}

void
json_string(struct json *j, const char *key, const char *s)
{
	before(j, key);
	if (s == NULL)
		fputs("null", j->out);
	else
		put_string(j->out, s);
}

void
json_number(struct json *j, const char *key, int64_t n)
{
	before(j, key);
	fprintf(j->out, "%" PRId64, n);
}

void
json_bool(struct json *j, const char *key, bool b)
{
	before(j, key);
	fputs(b ? "true" : "false", j->out);
}

void
json_end(struct json *j)
{
	assert(j->depth == 0);
	putc('\n', j->out);
}
