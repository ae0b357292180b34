/* Writing CommuniGate's dictionaries; what is written parses to the same. */
#include <string.h>

#include "cgp/cgp_dict.h"

static bool
plain_atom(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') ||
		    (p[i] >= 'A' && p[i] <= 'Z') ||
		    (p[i] >= '0' && p[i] <= '9') ||
		    (i > 0 && strchr("-._@", p[i]) != NULL && p[i] != '\0')))
			return false;
	return len > 0;
}

static void
write_string(struct buf *out, const char *p, size_t len)
{
	size_t i;

	if (plain_atom(p, len)) {
		buf_add(out, p, len);
		return;
	}
	buf_addc(out, '"');
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\r' || c == '\n' || c == '\t')
			buf_addf(out, "\\%c", c == '\r' ? 'r' : c == '\n' ?
			    'n' : 't');
		else if (c < 0x20 || c == 0x7f)
			buf_addf(out, "\\%03u", c);
		else
			buf_addc(out, p[i]);
	}
	buf_addc(out, '"');
}

static void
write_data(struct buf *out, const char *p, size_t len)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned long bits;
	size_t i, n;

	buf_addc(out, '[');
	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		bits = (unsigned long)(unsigned char)p[i] << 16;
		if (n > 1)
			bits |= (unsigned long)(unsigned char)p[i + 1] << 8;
		if (n > 2)
			bits |= (unsigned char)p[i + 2];
		buf_addc(out, set[bits >> 18 & 63]);
		buf_addc(out, set[bits >> 12 & 63]);
		buf_addc(out, n > 1 ? set[bits >> 6 & 63] : '=');
		buf_addc(out, n > 2 ? set[bits & 63] : '=');
	}
	buf_addc(out, ']');
}

static void
write_value(struct buf *out, const struct dict_value *v, bool outermost)
{
	size_t i;

	switch (v->type) {
	case DICT_STRING:
		write_string(out, v->p, v->len);
		break;
	case DICT_DATA:
		write_data(out, v->p, v->len);
		break;
	case DICT_DICT:
		buf_adds(out, outermost ? "{\n" : "{");
		for (i = 0; i < v->n; i++) {
			if (outermost)
				buf_addc(out, ' ');
			write_string(out, v->items[i].key,
			    v->items[i].key_len);
			buf_adds(out, outermost ? " = " : "=");
			write_value(out, &v->items[i].value, false);
			buf_adds(out, outermost ? ";\n" : ";");
		}
		buf_addc(out, '}');
		break;
	case DICT_ARRAY:
		buf_addc(out, '(');
		for (i = 0; i < v->n; i++) {
			if (i > 0)
				buf_addc(out, ',');
			write_value(out, &v->items[i].value, false);
		}
		buf_addc(out, ')');
		break;
	case DICT_NUMBER:
	case DICT_TIME:
	case DICT_IP:
	case DICT_XML:
	case DICT_NULL:
	case DICT_OPAQUE:
		buf_add(out, v->p, v->len);
		break;
	}
	if (outermost)
		buf_addc(out, '\n');
}

int
dict_write(struct buf *out, const struct dict_value *v)
{
	write_value(out, v, true);
	return out->full ? -1 : 0;
}
