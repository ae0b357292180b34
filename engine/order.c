/* The order in which accounts are begun. */
#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "text.h"

enum order { ORDER_LARGEST, ORDER_SMALLEST, ORDER_LIST, ORDER_COLUMN };

static enum order
order_of(const struct config *c)
{
	static const char *const words[] = { "largest", "smallest", "list" };
	const char *text = config_str(c, CFG_ORDER);

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(text, words[i]) == 0)
			return (enum order)i;
	return ORDER_COLUMN;
}

size_t
order_check(const struct config *c, const struct accounts *list,
    struct buf *errors)
{
	const char *column = config_str(c, CFG_ORDER);

	if (order_of(c) != ORDER_COLUMN || accounts_count(list) == 0 ||
	    account_column(list, 0, column) != NULL)
		return 0;
	complain(errors, config_where(c, CFG_ORDER), "order is '%.60s', but "
	    "must be largest, smallest, list, or a column of the account list",
	    column);
	return 1;
}

struct sized {
	struct account	*account;
	int64_t		 size;
	size_t		 place;
};

static int
cmp_sized(const void *pa, const void *pb)
{
	const struct sized *a = pa, *b = pb;

	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

/* Messages of an account in the last pass over it. */
static int
known_messages(struct db *db, const char *name, int64_t *n, struct err *e)
{
	return db_number(db, e, n, 0, "SELECT sum(mailbox.source) FROM mailbox"
	    " JOIN account ON account.id = account_id WHERE account.name = ?1"
	    " AND mailbox.outcome <> 'gone'", "s", name);
}

/* What no pass has met keeps its place in the list, before the others; what
 * has no number in the column comes last. */
static int64_t
size_of(enum order order, const struct config *c, const struct accounts *list,
    const struct account *a, int64_t messages)
{
	const char *text;
	uint64_t n;

	switch (order) {
	case ORDER_LARGEST:
		return messages == 0 ? INT64_MAX : messages;
	case ORDER_SMALLEST:
		return messages == 0 ? INT64_MAX : -messages;
	case ORDER_COLUMN:
		text = account_column(list, a->place, config_str(c,
		    CFG_ORDER));
		if (text == NULL || config_size(text, &n) == -1)
			return -1;
		return n > INT64_MAX ? INT64_MAX : (int64_t)n;
	case ORDER_LIST:
		break;
	}
	return 0;
}

int
order_accounts(const struct config *c, const struct accounts *list,
    struct account **v, size_t n, struct db *db, struct err *e)
{
	struct sized *s = xcalloc(n + 1, sizeof *s);
	enum order order = order_of(c);
	int64_t messages;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = known_messages(db, v[i]->name, &messages, e);
		s[i].account = v[i];
		s[i].place = i;
		s[i].size = size_of(order, c, list, v[i], messages);
		v[i]->expect = messages > 0 ? (uint64_t)messages : 0;
	}
	if (rc == 0) {
		qsort(s, n, sizeof *s, cmp_sized);
		for (size_t i = 0; i < n; i++)
			v[i] = s[i].account;
	}
	free(s);
	return rc;
}
