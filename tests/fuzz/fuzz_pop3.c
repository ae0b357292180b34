/*
 * What a POP3 server says, from the greeting to the last header.  Oracle: what
 * comes out of it has bounds and order, and whatever comes in, nothing is said
 * to it but what neither reads nor changes a maildrop.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pop3/pop3_parse.h"
#include "pop3/pop3_session.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
warned(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

static void
head(void *ctx, size_t i, const unsigned char *digest)
{
	size_t *next = ctx;

	(void)digest;
	if (i != (*next)++)
		abort();
}

static void
check_items(const struct pop3_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (items[i].number == 0 || (i > 0 && items[i].number <=
		    items[i - 1].number))
			abort();
		if (items[i].uidl == NULL)
			continue;
		if (items[i].uidl[0] == '\0' || strlen(items[i].uidl) > 250)
			abort();
		for (const char *p = items[i].uidl; *p != '\0'; p++)
			if (*p <= ' ' || *p >= 0x7f)
				abort();
	}
}

static void
check_sent(const struct buf *sent)
{
	static const char *const said[] = { "CAPA\r\n", "USER joe\r\n",
	    "PASS secret\r\n", "AUTH PLAIN AGpvZQBzZWNyZXQ=\r\n", "LIST\r\n",
	    "UIDL\r\n", "TOP ", "QUIT\r\n" };
	const char *p = sent->ptr, *end = p + sent->len, *lf;
	size_t i;

	for (; p < end; p = lf + 1) {
		if ((lf = memchr(p, '\n', (size_t)(end - p))) == NULL)
			abort();
		for (i = 0; i < sizeof said / sizeof said[0]; i++)
			if (strncmp(p, said[i], strlen(said[i])) == 0)
				break;
		if (i == sizeof said / sizeof said[0] || (lf - p > 4 &&
		    said[i][0] == 'T' && memcmp(lf - 3, " 0\r", 3) != 0))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char scheme[] = "pop3", user[] = "joe", host[] = "h";
	struct uri uri = { .scheme = scheme, .user = user, .host = host };
	const struct store_conf conf = { .uri = &uri, .password = "secret",
	    .warn = warned, .cancel_fd = -1 };
	struct pop3_item *items;
	struct pop3 *pop;
	struct arena a;
	struct buf sent;
	struct err e;
	size_t n, next = 0;

	arena_init(&a);
	buf_init(&sent, 1 << 20);
	if (pop3_over(&pop, imap_stream_memory(data, size, &sent), &conf,
	    &e) == 0) {
		if (pop3_list(pop, &a, &items, &n, &e) == 0) {
			uint32_t numbers[64];

			check_items(items, n);
			for (size_t i = 0; i < n && i < 64; i++)
				numbers[i] = items[i].number;
			if (n > 64)
				n = 64;
			if (pop3_heads(pop, numbers, n, head, &next, &e) ==
			    1 && next != n)
				abort();
		}
		pop3_close(&pop);
	}
	check_sent(&sent);
	buf_release(&sent);
	arena_release(&a);
	return 0;
}
