/*
 * What a dsync-server sends.  Oracle: values lie inside their line and have no
 * separator left over; an item that is written anew from them is read again as
 * the same; a conversation with it ends by itself, and what it was told never
 * lacks no_backup_overwrite.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dsync/dsync_talk.h"
#include "imap/imap_stream.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(const struct dsync_reader *r)
{
	struct imap_stream *st;
	struct dsync_reader two;
	struct err e;
	struct buf b;

	buf_init(&b, 8 * DSYNC_LINE_MAX);
	dsync_begin(&b, r->letter);
	for (size_t i = 0; i < r->n; i++) {
		if (r->value[i] == NULL)
			buf_addc(&b, '\002');
		else {
			if (r->len[i] > 0 && r->value[i][0] == '\002')
				buf_addc(&b, '\002');
			dsync_escape(&b, r->value[i], r->len[i]);
		}
		buf_addc(&b, i + 1 < r->n ? '\t' : '\n');
	}
	if (r->n == 0)
		dsync_end(&b);
	st = imap_stream_memory(b.ptr, b.len, NULL);
	dsync_reader_init(&two, st);
	/* A lone empty value is written as none is. */
	if (!(r->n == 1 && r->value[0] != NULL && r->len[0] == 0) &&
	    b.len <= DSYNC_LINE_MAX) {
		if (dsync_read_item(&two, &e) == -1 || two.n != r->n ||
		    two.letter != r->letter)
			abort();
		for (size_t i = 0; i < r->n; i++)
			if ((two.value[i] == NULL) != (r->value[i] == NULL) ||
			    (r->value[i] != NULL && (two.len[i] != r->len[i] ||
			    memcmp(two.value[i], r->value[i],
			    r->len[i]) != 0)))
				abort();
	}
	dsync_reader_release(&two);
	imap_stream_free(&st);
	buf_release(&b);
}

static void
lines(const uint8_t *data, size_t size)
{
	struct imap_stream *st = imap_stream_memory(data, size, NULL);
	struct dsync_reader r;
	struct err e;

	dsync_reader_init(&r, st);
	if (dsync_read_heads(&r, &e) == 0)
		while (dsync_read_item(&r, &e) == 0) {
			if (r.letter == '.')
				continue;
			for (size_t i = 0; i < r.n; i++)
				if (r.value[i] != NULL && (r.value[i] <
				    r.line.ptr || r.value[i] + r.len[i] >
				    r.line.ptr + r.line.len))
					abort();
			dsync_get(&r, "name");
			dsync_number(&r, "uid");
			again(&r);
		}
	dsync_reader_release(&r);
	imap_stream_free(&st);
}

static void
warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	(void)mailbox;
	(void)where;
	(void)text;
}

static void
talk(const uint8_t *data, size_t size)
{
	const struct store_conf conf = { .warn = warn, .cancel_fd = -1 };
	struct dsync_status st;
	struct dsync_talk *t;
	struct buf sent;
	struct err e;
	bool moved;
	int rc;

	buf_init(&sent, 1 << 24);
	if (dsync_talk_over(&t, imap_stream_memory(data, size, &sent), NULL,
	    &conf, NULL, 60, &e) == 0) {
		rc = dsync_talk_tree(t, NULL, &e);
		for (size_t i = 0; rc == 0 && i < t->tree.n; i++) {
			struct dsync_box *x = &t->tree.box[i];

			if (x->guid[0] == '\0')
				continue;
			rc = dsync_talk_box(t, x, 1, 0, &st, &e);
			if (rc == 0)
				continue;
			while (rc == 1)
				rc = dsync_talk_next(t, 'R', &e);
			if (rc == 0)
				rc = dsync_talk_stored(t, x, &moved, &e);
		}
		dsync_talk_close(&t);
	}
	if (strstr(sent.ptr, "\tno_backup_overwrite\t") == NULL ||
	    strstr(sent.ptr, "\nH~mailhaul\ts\t\t\t\t60\n") == NULL)
		abort();
	buf_release(&sent);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	lines(data, size);
	talk(data, size);
	return 0;
}
