/* CommuniGate's dictionaries: what is written parses to the same value, and is
 * written the same again; what is left of a broken file can be written. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cgp/cgp_dict.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const struct dict_value *a, const struct dict_value *b)
{
	assert(a->type == b->type && a->n == b->n);
	if (a->type != DICT_DICT && a->type != DICT_ARRAY) {
		assert(a->len == b->len && memcmp(a->p, b->p, a->len) == 0);
		assert(a->p[a->len] == '\0');
		assert(a->whole == b->whole && a->number == b->number);
	}
	for (size_t i = 0; i < a->n; i++) {
		const struct dict_item *x = &a->items[i], *y = &b->items[i];

		assert((x->key == NULL) == (a->type == DICT_ARRAY));
		if (x->key != NULL) {
			assert(x->key_len == y->key_len &&
			    memcmp(x->key, y->key, x->key_len) == 0);
			assert(dict_getn(a, x->key, x->key_len) != NULL);
		}
		same(&x->value, &y->value);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dict_value *v, *w;
	struct buf out, again;
	struct arena a;
	struct err e;

	arena_init(&a);
	buf_init(&out, 16 * size + 100);
	buf_init(&again, 16 * size + 100);
	dict_parse(&a, (const char *)data, size, &v, &e);
	if (v != NULL) {
		assert(dict_write(&out, v) == 0);
		assert(dict_parse(&a, out.ptr, out.len, &w, &e) == 0);
		same(v, w);
		assert(dict_write(&again, w) == 0);
		assert(again.len == out.len &&
		    memcmp(again.ptr, out.ptr, out.len) == 0);
	}
	buf_release(&out);
	buf_release(&again);
	arena_release(&a);
	return 0;
}
