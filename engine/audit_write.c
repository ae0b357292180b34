/* Which printer an audit has. */
#include "audit_write.h"

#include <inttypes.h>
#include <string.h>

void
audit_words(char *out, size_t size, const struct audit_counts *c)
{
	size_t len = 0;

	out[0] = '\0';
	for (int v = V_EQUAL + 1; v < VERDICTS; v++) {
		if (c->n[v] == 0 || len >= size)
			continue;
		snprintf(out + len, size - len, "%s%" PRIu64 " %s", len > 0 ?
		    ", " : "", c->n[v], verdict_name((enum verdict)v));
		len = strlen(out);
	}
}

int
audit_write(struct audit *au, FILE *out, enum format format, struct err *e)
{
	switch (format) {
	case FORMAT_JSON:
		return audit_json(au, out, false, e);
	case FORMAT_NDJSON:
		return audit_json(au, out, true, e);
	case FORMAT_CSV:
		return audit_csv(au, out, e);
	case FORMAT_JUNIT:
		return audit_junit(au, out, e);
	case FORMAT_HTML:
		return audit_html(au, out, e);
	case FORMAT_TEXT:
		break;
	}
	return audit_text(au, out, e);
}
