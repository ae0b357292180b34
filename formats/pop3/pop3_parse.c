/* Lines of a POP3 server. */
#include "pop3/pop3_parse.h"

#include <string.h>
#include <strings.h>

#define NUMBER_MAX	UINT32_C(0x7fffffff)
#define UIDL_MAX	250

int
pop3_status_parse(struct pop3_status *st, const char *line)
{
	size_t n;

	st->code[0] = '\0';
	if (strncasecmp(line, "+OK", 3) == 0) {
		st->kind = POP3_OK;
		n = 3;
	} else if (strncasecmp(line, "-ERR", 4) == 0) {
		st->kind = POP3_ERR;
		n = 4;
	} else if (line[0] == '+') {
		st->kind = POP3_CONTINUE;
		n = 1;
	} else
		return -1;
	if (line[n] != '\0' && line[n] != ' ')
		return -1;
	line += n;
	line += strspn(line, " ");
	st->text = line;
	if (line[0] == '[' && (n = strcspn(line, "]")) - 1 <
	    sizeof st->code && line[n] == ']') {
		memcpy(st->code, line + 1, n - 1);
		st->code[n - 1] = '\0';
		line += n + 1;
		st->text = line + strspn(line, " ");
	}
	return 0;
}

bool
pop3_temporary(const struct pop3_status *st)
{
	return strcasecmp(st->code, "IN-USE") == 0 ||
	    strcasecmp(st->code, "LOGIN-DELAY") == 0 ||
	    strcasecmp(st->code, "SYS/TEMP") == 0 ||
	    (st->code[0] == '\0' && (strcasestr(st->text, "connections") !=
	    NULL || strcasestr(st->text, "try again") != NULL ||
	    strcasestr(st->text, "temporar") != NULL ||
	    strcasestr(st->text, "lock") != NULL));
}

/* Does the line begin with this word?  Then what follows, else NULL. */
static const char *
after(const char *line, const char *word)
{
	size_t n = strlen(word);

	if (strncasecmp(line, word, n) != 0 || (line[n] != '\0' && line[n] !=
	    ' '))
		return NULL;
	return line + n + strspn(line + n, " ");
}

unsigned
pop3_cap_parse(const char *line)
{
	static const struct { const char *name; unsigned bit; } table[] = {
		{ "TOP", POP3_CAP_TOP }, { "USER", POP3_CAP_USER },
		{ "UIDL", POP3_CAP_UIDL }, { "STLS", POP3_CAP_STLS },
		{ "PIPELINING", POP3_CAP_PIPELINING }
	};
	const char *p;

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (after(line, table[i].name) != NULL)
			return table[i].bit;
	if ((p = after(line, "SASL")) == NULL)
		return 0;
	for (; *p != '\0'; p += strcspn(p, " "), p += strspn(p, " "))
		if (after(p, "PLAIN") != NULL)
			return POP3_CAP_PLAIN;
	return 0;
}

/* A number from 0 to max and the blanks behind it; NULL: there is none. */
static const char *
number(const char *p, uint64_t max, uint64_t *v)
{
	const char *start = p;

	for (*v = 0; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*v > (max - digit) / 10)
			return NULL;
		*v = *v * 10 + digit;
	}
	if (p == start || (*p != ' ' && *p != '\0'))
		return NULL;
	return p + strspn(p, " ");
}

int
pop3_list_parse(const char *line, uint32_t *num, uint64_t *size)
{
	uint64_t v;

	if ((line = number(line, NUMBER_MAX, &v)) == NULL || v == 0 ||
	    number(line, INT64_MAX, size) == NULL)
		return -1;
	*num = (uint32_t)v;
	return 0;
}

int
pop3_uidl_parse(const char *line, uint32_t *num, const char **uidl)
{
	uint64_t v;
	size_t n;

	*uidl = NULL;
	if ((line = number(line, NUMBER_MAX, &v)) == NULL || v == 0)
		return -1;
	*num = (uint32_t)v;
	for (n = 0; line[n] > 0x20 && line[n] < 0x7f; n++)
		;
	if (n > 0 && n <= UIDL_MAX && line[n] == '\0')
		*uidl = line;
	return 0;
}
