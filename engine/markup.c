/* Hostile text in XML and HTML. */
#include "markup.h"

#include <string.h>

#include "text.h"

static const char *
escape(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

/* U+FFFE and U+FFFF are well-formed UTF-8, but no characters of XML. */
static bool
is_no_character(const char *s, size_t n)
{
	return n == 3 && memcmp(s, "\xef\xbf", 2) == 0 &&
	    ((unsigned char)s[2] & 0xfe) == 0xbe;
}

void
markup_text(FILE *out, const char *s, size_t max)
{
	const char *start = s;

	while (*s != '\0' && (max == 0 || (size_t)(s - start) < max)) {
		size_t n = text_shown(s);
		const char *code = escape(*s);

		if (code != NULL)
			fputs(code, out);
		else if (n > 0 && !is_no_character(s, n))
			fwrite(s, 1, n, out);
		else {
			fprintf(out, "\\x%02x", (unsigned char)*s);
			n = 1;
		}
		s += n;
	}
	if (*s != '\0')
		fprintf(out, "... (%zu bytes)", (size_t)(s - start) +
		    strlen(s));
}
