/* Reading CommuniGate's dictionaries; the grammar stands in cgp_dict.h. */
#include "cgp/cgp_dict.h"

#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/xmalloc.h"

struct parser {
	struct arena	*a;
	const char	*start, *p, *end;
	unsigned	 depth;
	struct err	*e;
};

/* Items of the container that is being read, before they go to the arena. */
struct items {
	struct dict_item *v;
	size_t		 n, cap;
};

static int	parse_value(struct parser *, struct dict_value *);

static int
fail_at(struct parser *ps, const char *at, const char *what)
{
	size_t line = 1;
	const char *q, *begin = ps->start;

	for (q = ps->start; q < at; q++)
		if (*q == '\n') {
			line++;
			begin = q + 1;
		}
	return err_set(ps->e, ERR_MESSAGE, "line %zu, column %zu: %s", line,
	    (size_t)(at - begin) + 1, what);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_atom(char c)
{
	return (unsigned char)c > 0x20 && c != 0x7f &&
	    strchr("{}()[]=;,\"", c) == NULL;
}

static bool
starts(const struct parser *ps, const char *s)
{
	size_t n = strlen(s);

	return (size_t)(ps->end - ps->p) >= n && memcmp(ps->p, s, n) == 0;
}

/* White space and comments. */
static int
skip(struct parser *ps)
{
	const char *q;

	for (;;) {
		while (ps->p < ps->end && is_space(*ps->p))
			ps->p++;
		if (starts(ps, "//")) {
			q = memchr(ps->p, '\n', (size_t)(ps->end - ps->p));
			ps->p = q != NULL ? q : ps->end;
		} else if (starts(ps, "/*")) {
			q = memmem(ps->p + 2, (size_t)(ps->end - ps->p - 2),
			    "*/", 2);
			if (q == NULL)
				return fail_at(ps, ps->p, "a comment without "
				    "end");
			ps->p = q + 2;
		} else
			return 0;
	}
}

/* Strings */

static bool
digits(const char *p, size_t n)
{
	for (; n > 0; n--, p++)
		if (*p < '0' || *p > '9')
			return false;
	return true;
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void
add_utf8(struct buf *out, unsigned long c)
{
	if (c < 0x80)
		buf_addc(out, (char)c);
	else if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(out, (char)(0xe0 | c >> 12));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(out, (char)(0xf0 | c >> 18));
		buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* \u'HHHH' at p (behind the 'u'): its length, or 0. */
static size_t
unicode(struct buf *out, const char *p, size_t left)
{
	unsigned long c = 0;
	size_t i;

	if (left < 3 || p[0] != '\'')
		return 0;
	for (i = 1; i < left && i <= 6 && hex_value(p[i]) >= 0; i++)
		c = c << 4 | (unsigned long)hex_value(p[i]);
	if (i == 1 || i == left || p[i] != '\'' || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	add_utf8(out, c);
	return i + 1;
}

/* What follows a backslash: bytes used, 0 if it is no escape. */
static size_t
escape(struct buf *out, const char *p, size_t left)
{
	int code;
	size_t n;

	if (left == 0)
		return 0;
	switch (*p) {
	case '"':
	case '\\':
		buf_addc(out, *p);
		return 1;
	case 'r':
		buf_addc(out, '\r');
		return 1;
	case 'n':
	case 'e':
		buf_addc(out, '\n');
		return 1;
	case 't':
		buf_addc(out, '\t');
		return 1;
	case 'u':
		n = unicode(out, p + 1, left - 1);
		return n > 0 ? n + 1 : 0;
	default:
		if (left < 3 || !digits(p, 3))
			return 0;
		code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
		if (code > 255)
			return 0;
		buf_addc(out, (char)code);
		return 3;
	}
}

/* Quoted pieces, as many as follow each other. */
static int
parse_quoted(struct parser *ps, const char **s, size_t *len)
{
	const char *open, *q;
	struct buf out;
	size_t n;

	buf_init(&out, (size_t)(ps->end - ps->p) + 1);
	while (ps->p < ps->end && *ps->p == '"') {
		open = ps->p++;
		for (;;) {
			for (q = ps->p; q < ps->end && *q != '"' && *q != '\\';
			    q++)
				;
			buf_add(&out, ps->p, (size_t)(q - ps->p));
			ps->p = q;
			if (q == ps->end) {
				buf_release(&out);
				return fail_at(ps, open, "a quoted string "
				    "without end");
			}
			ps->p++;
			if (*q == '"')
				break;
			n = escape(&out, ps->p, (size_t)(ps->end - ps->p));
			if (n == 0)
				buf_addc(&out, '\\');
			ps->p += n;
		}
		if (skip(ps) == -1) {
			buf_release(&out);
			return -1;
		}
	}
	*s = arena_memdup0(ps->a, out.ptr, out.len);
	*len = out.len;
	buf_release(&out);
	return 0;
}

static int
parse_string(struct parser *ps, const char **s, size_t *len)
{
	const char *begin = ps->p;

	if (ps->p < ps->end && *ps->p == '"')
		return parse_quoted(ps, s, len);
	while (ps->p < ps->end && is_atom(*ps->p) && !starts(ps, "//") &&
	    !starts(ps, "/*"))
		ps->p++;
	if (ps->p == begin)
		return fail_at(ps, begin, ps->p == ps->end ? "the text ends "
		    "where a string should be" : "no string can begin here");
	*len = (size_t)(ps->p - begin);
	*s = arena_memdup0(ps->a, begin, *len);
	return 0;
}

/* What begins with '#' */

static void
keep_text(struct parser *ps, struct dict_value *v, const char *begin)
{
	v->len = (size_t)(ps->p - begin);
	v->p = arena_memdup0(ps->a, begin, v->len);
}

/* -?digits, 0x, 0o, 0b: whole and number are set if it is one. */
static void
read_number(struct dict_value *v)
{
	const char *p = v->p + 1, *end = v->p + v->len;
	bool minus = p < end && *p == '-';
	unsigned base = 10;
	uint64_t sum = 0;

	p += minus;
	if (end - p > 2 && p[0] == '0' && strchr("xXoObB", p[1]) != NULL) {
		base = p[1] == 'x' || p[1] == 'X' ? 16 :
		    p[1] == 'o' || p[1] == 'O' ? 8 : 2;
		p += 2;
	}
	if (p == end)
		return;
	for (; p < end; p++) {
		int d = hex_value(*p);

		if (d < 0 || (unsigned)d >= base ||
		    sum > ((uint64_t)INT64_MAX - (unsigned)d) / base)
			return;
		sum = sum * base + (unsigned)d;
	}
	v->whole = true;
	v->number = minus ? -(int64_t)sum : (int64_t)sum;
}

static unsigned
two(const char *p)
{
	return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
}

/* DD-MM-YYYY[_hh:mm:ss] */
static bool
read_time(const char *p, size_t len, int64_t *epoch)
{
	static const unsigned char days[] = {
		31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
	};
	unsigned day, month, hour = 0, minute = 0, second = 0;

	if ((len != 10 && len != 19) || !digits(p, 2) || p[2] != '-' ||
	    !digits(p + 3, 2) || p[5] != '-' || !digits(p + 6, 4))
		return false;
	day = two(p);
	month = two(p + 3);
	if (len == 19) {
		if (p[10] != '_' || !digits(p + 11, 2) || p[13] != ':' ||
		    !digits(p + 14, 2) || p[16] != ':' || !digits(p + 17, 2))
			return false;
		hour = two(p + 11);
		minute = two(p + 14);
		second = two(p + 17);
	}
	if (month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
	    hour > 23 || minute > 59 || second > 60)
		return false;
	*epoch = (date_days(two(p + 6) * 100 + two(p + 8), month, day) * 24 +
	    hour) * 3600 + minute * 60 + second;
	return true;
}

/* "(...)" with brackets in brackets and quoted strings in it. */
static int
skip_round(struct parser *ps)
{
	const char *begin = ps->p;
	unsigned depth = 0;

	for (; ps->p < ps->end; ps->p++)
		if (*ps->p == '(')
			depth++;
		else if (*ps->p == ')' && --depth == 0) {
			ps->p++;
			return 0;
		} else if (*ps->p == '"') {
			for (ps->p++; ps->p < ps->end && *ps->p != '"';
			    ps->p++)
				if (*ps->p == '\\' && ps->p + 1 < ps->end)
					ps->p++;
			if (ps->p == ps->end)
				break;
		}
	return fail_at(ps, begin, "a bracket without its other one");
}

static bool
ends_sharp(char c)
{
	return is_space(c) || c == ',' || c == ';' || c == ')' || c == '}' ||
	    c == '=';
}

static int
parse_sharp(struct parser *ps, struct dict_value *v)
{
	const char *begin = ps->p;

	v->type = DICT_OPAQUE;
	ps->p++;
	if (ps->p < ps->end && *ps->p == '(') {
		if (skip_round(ps) == -1)
			return -1;
		keep_text(ps, v, begin);
		return 0;
	}
	while (ps->p < ps->end && !ends_sharp(*ps->p) && !starts(ps, "//") &&
	    !starts(ps, "/*"))
		ps->p++;
	keep_text(ps, v, begin);
	if (v->len == 6 && memcmp(v->p, "#NULL#", 6) == 0)
		v->type = DICT_NULL;
	else if (v->len > 1 && (v->p[1] == '-' ||
	    (v->p[1] >= '0' && v->p[1] <= '9'))) {
		v->type = DICT_NUMBER;
		read_number(v);
	} else if (v->len > 2 && v->p[1] == 'I' && v->p[2] == '[')
		v->type = DICT_IP;
	else if (strcmp(v->p, "#TPAST") == 0 || strcmp(v->p, "#TFUTURE") == 0) {
		v->type = DICT_TIME;
		v->number = v->p[2] == 'P' ? INT64_MIN : INT64_MAX;
	} else if (v->len > 2 && v->p[1] == 'T' &&
	    read_time(v->p + 2, v->len - 2, &v->number))
		v->type = DICT_TIME;
	return 0;
}

/* Data and XML */

static int
base64_value(char c)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *q = c != '\0' ? strchr(set, c) : NULL;

	return q != NULL ? (int)(q - set) : -1;
}

/* False: it is no base64. */
static bool
decode_data(struct buf *out, const char *p, size_t len)
{
	unsigned long bits = 0;
	unsigned n = 0, pads = 0;
	int v;

	for (; len > 0; len--, p++) {
		if (is_space(*p))
			continue;
		if (*p == '=') {
			pads++;
			continue;
		}
		if ((v = base64_value(*p)) == -1 || pads > 0)
			return false;
		bits = bits << 6 | (unsigned long)v;
		if (++n == 4) {
			buf_addc(out, (char)(bits >> 16));
			buf_addc(out, (char)(bits >> 8));
			buf_addc(out, (char)bits);
			bits = 0;
			n = 0;
		}
	}
	if (n == 1 || pads > 2)
		return false;
	if (n == 3) {
		buf_addc(out, (char)(bits >> 10));
		buf_addc(out, (char)(bits >> 2));
	} else if (n == 2)
		buf_addc(out, (char)(bits >> 4));
	return true;
}

static int
parse_data(struct parser *ps, struct dict_value *v)
{
	const char *begin = ps->p, *close;
	struct buf out;

	close = memchr(ps->p, ']', (size_t)(ps->end - ps->p));
	if (close == NULL)
		return fail_at(ps, begin, "a data block without end");
	buf_init(&out, (size_t)(close - begin));
	ps->p = close + 1;
	if (decode_data(&out, begin + 1, (size_t)(close - begin) - 1)) {
		v->type = DICT_DATA;
		v->p = arena_memdup0(ps->a, out.ptr, out.len);
		v->len = out.len;
	} else {
		v->type = DICT_OPAQUE;
		keep_text(ps, v, begin);
	}
	buf_release(&out);
	return 0;
}

/* A tag at ps->p: +1 it opens an element, -1 it closes one, 0 it is a whole;
 * -2: it has no end. */
static int
xml_tag(struct parser *ps)
{
	const char *begin = ps->p, *q;
	char quote = '\0';

	if (starts(ps, "<!--")) {
		q = memmem(ps->p + 4, (size_t)(ps->end - ps->p - 4), "-->", 3);
		ps->p = q != NULL ? q + 3 : ps->end;
		return q != NULL ? 0 : -2;
	}
	for (q = ps->p + 1; q < ps->end; q++) {
		if (quote != '\0') {
			if (*q == quote)
				quote = '\0';
		} else if (*q == '"' || *q == '\'')
			quote = *q;
		else if (*q == '>')
			break;
	}
	if (q >= ps->end)
		return -2;
	ps->p = q + 1;
	if (begin[1] == '/')
		return -1;
	return q[-1] == '/' || begin[1] == '?' || begin[1] == '!' ? 0 : 1;
}

static int
parse_xml(struct parser *ps, struct dict_value *v)
{
	const char *begin = ps->p, *q;
	bool element = false;
	unsigned depth = 0;
	int rc;

	for (;;) {
		q = memchr(ps->p, '<', (size_t)(ps->end - ps->p));
		if (q == NULL)
			return fail_at(ps, begin, "an XML element without "
			    "end");
		ps->p = q;
		element = element || (q + 1 < ps->end && q[1] != '?' &&
		    q[1] != '!');
		rc = xml_tag(ps);
		if (rc == -2 || (rc == -1 && depth == 0))
			return fail_at(ps, begin, "an XML element without "
			    "end");
		if (rc == 1)
			depth++;
		else if (rc == -1)
			depth--;
		if (depth == 0 && element)
			break;
	}
	v->type = DICT_XML;
	keep_text(ps, v, begin);
	return 0;
}

/* Containers */

static struct dict_item *
add_item(struct items *l)
{
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 8 : l->cap * 2;
		l->v = xreallocarray(l->v, l->cap, sizeof *l->v);
	}
	memset(&l->v[l->n], 0, sizeof l->v[l->n]);
	return &l->v[l->n++];
}

static void
keep_items(struct parser *ps, struct dict_value *v, struct items *l)
{
	v->n = l->n;
	v->items = arena_alloc(ps->a, l->n * sizeof *l->v + 1);
	if (l->n > 0)
		memcpy(v->items, l->v, l->n * sizeof *l->v);
	free(l->v);
}

/* key = value; of a dictionary, value, of an array.  An item whose value is
 * cut short is kept as far as it goes if it is a container, so that one bad
 * byte does not cost all that stands before it. */
static int
parse_item(struct parser *ps, struct items *l, bool dict)
{
	const char *key = NULL;
	struct dict_item *it;
	struct dict_value v;
	size_t len = 0;
	int rc;

	memset(&v, 0, sizeof v);
	if (dict) {
		if (parse_string(ps, &key, &len) == -1 || skip(ps) == -1)
			return -1;
		if (ps->p == ps->end || *ps->p != '=')
			return fail_at(ps, ps->p, "'=' is missing");
		ps->p++;
		if (skip(ps) == -1)
			return -1;
	}
	rc = parse_value(ps, &v);
	if (rc == 0)
		rc = skip(ps);
	if (rc == 0 && ps->p == ps->end)
		rc = fail_at(ps, ps->p, "the text ends inside of brackets");
	if (rc == -1 && (v.type != DICT_DICT && v.type != DICT_ARRAY))
		return -1;
	it = add_item(l);
	it->key = key;
	it->key_len = len;
	it->value = v;
	return rc;
}

static int
parse_container(struct parser *ps, struct dict_value *v, bool dict)
{
	char close = dict ? '}' : ')', sep = dict ? ';' : ',';
	const char *begin = ps->p++;
	struct items l = { NULL, 0, 0 };
	int rc = 0;

	if (ps->depth == DICT_DEPTH)
		return fail_at(ps, begin, "brackets are nested too deep");
	ps->depth++;
	v->type = dict ? DICT_DICT : DICT_ARRAY;
	while (rc == 0) {
		if ((rc = skip(ps)) == -1)
			break;
		if (ps->p < ps->end && *ps->p == close) {
			ps->p++;
			break;
		}
		if (ps->p == ps->end) {
			rc = fail_at(ps, begin, "a bracket without its other "
			    "one");
			break;
		}
		if ((rc = parse_item(ps, &l, dict)) == -1)
			break;
		if (*ps->p == sep)
			ps->p++;
		else if (*ps->p != close)
			rc = fail_at(ps, ps->p, dict ? "';' or '}' is missing" :
			    "',' or ')' is missing");
	}
	ps->depth--;
	keep_items(ps, v, &l);
	return rc;
}

static int
parse_value(struct parser *ps, struct dict_value *v)
{
	memset(v, 0, sizeof *v);
	if (ps->p < ps->end)
		switch (*ps->p) {
		case '{':
			return parse_container(ps, v, true);
		case '(':
			return parse_container(ps, v, false);
		case '[':
			return parse_data(ps, v);
		case '#':
			return parse_sharp(ps, v);
		case '<':
			return parse_xml(ps, v);
		default:
			break;
		}
	v->type = DICT_STRING;
	return parse_string(ps, &v->p, &v->len);
}

int
dict_parse(struct arena *a, const char *p, size_t len,
    struct dict_value **out, struct err *e)
{
	struct parser ps = { a, p, p, p + len, 0, e };
	struct dict_value *v = arena_zalloc(a, sizeof *v);

	*out = NULL;
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		ps.p += 3;
	if (skip(&ps) == -1)
		return -1;
	if (parse_value(&ps, v) == -1) {
		if (v->type == DICT_DICT || v->type == DICT_ARRAY)
			*out = v;
		return -1;
	}
	*out = v;
	if (skip(&ps) == -1)
		return -1;
	if (ps.p != ps.end)
		return fail_at(&ps, ps.p, "something follows the end");
	return 0;
}
