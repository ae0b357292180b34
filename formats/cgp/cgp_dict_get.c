/* Asking CommuniGate's dictionaries. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgp/cgp_dict.h"

const struct dict_value *
dict_getn(const struct dict_value *v, const char *key, size_t len)
{
	size_t i;

	if (v == NULL || v->type != DICT_DICT)
		return NULL;
	for (i = v->n; i-- > 0; )
		if (v->items[i].key_len == len &&
		    memcmp(v->items[i].key, key, len) == 0)
			return &v->items[i].value;
	return NULL;
}

const struct dict_value *
dict_get(const struct dict_value *v, const char *key)
{
	return dict_getn(v, key, strlen(key));
}

const char *
dict_string(const struct dict_value *v, const char *key)
{
	const struct dict_value *x = dict_get(v, key);

	if (x == NULL || x->type != DICT_STRING || strlen(x->p) != x->len)
		return NULL;
	return x->p;
}

int
dict_number(const struct dict_value *v, const char *key, int64_t *n)
{
	const struct dict_value *x = dict_get(v, key);
	size_t i;

	if (x == NULL)
		return 0;
	if (x->type == DICT_NUMBER && x->whole) {
		*n = x->number;
		return 1;
	}
	if (x->type != DICT_STRING || x->len == 0 || x->len > 18 ||
	    strspn(x->p, "0123456789") != x->len)
		return 0;
	for (*n = 0, i = 0; i < x->len; i++)
		*n = *n * 10 + (x->p[i] - '0');
	return 1;
}

int
dict_bool(const struct dict_value *v, const char *key)
{
	const char *s = dict_string(v, key);

	if (s == NULL)
		return -1;
	return strcasecmp(s, "YES") == 0 ? 1 : strcasecmp(s, "NO") == 0 ? 0 :
	    -1;
}

int
dict_size(const struct dict_value *v, const char *key, uint64_t *bytes)
{
	const char *s = dict_string(v, key), *unit;
	uint64_t factor = 1;
	int64_t n;

	if (dict_number(v, key, &n) == 1) {
		*bytes = n < 0 ? UINT64_MAX : (uint64_t)n;
		return 1;
	}
	if (s == NULL)
		return 0;
	if (strcasecmp(s, "unlimited") == 0 || strcmp(s, "-1") == 0) {
		*bytes = UINT64_MAX;
		return 1;
	}
	unit = s + strspn(s, "0123456789");
	if (unit == s || unit - s > 12 || unit[0] == '\0' || unit[1] != '\0')
		return 0;
	switch (*unit) {
	case 'g':
	case 'G':
		factor *= 1024;
		/* FALLTHROUGH */
	case 'm':
	case 'M':
		factor *= 1024;
		/* FALLTHROUGH */
	case 'k':
	case 'K':
		factor *= 1024;
		break;
	default:
		return 0;
	}
	*bytes = strtoull(s, NULL, 10) * factor;
	return 1;
}
