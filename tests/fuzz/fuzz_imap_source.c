/*
 * A hostile server as a source: the input is all that it says after the login,
 * with our tags m3, m4...  Whatever that is, UIDs ascend, no content is longer
 * than what came, and every failure says how far it reaches.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "imap/imap_from.h"
#include "imap/imap_source.h"

#define WANTED	8

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const logins[] = {
	"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\nm1 OK [CAPABILITY "
	    "IMAP4rev1] in\r\n* LIST () \"/\" \"\"\r\nm2 OK\r\n",
	"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\nm1 OK [CAPABILITY "
	    "IMAP4rev1 CONDSTORE ESEARCH LIST-EXTENDED LIST-STATUS NAMESPACE "
	    "SPECIAL-USE DIGEST=SHA1] in\r\n* NAMESPACE ((\"\" \"/\")) "
	    "((\"~\" \"/\")) NIL\r\nm2 OK\r\n"
};

static void
ignore(void *ctx, const char *box, const char *where, const char *text)
{
	(void)ctx;
	(void)box;
	(void)where;
	(void)text;
}

static int
check(int rc, const struct err *e)
{
	if (rc == -1 && (e->scope == ERR_NONE || e->text[0] == '\0'))
		abort();
	return rc;
}

static void
read_one(struct source *src, const struct msg_meta *m, size_t size)
{
	struct content *c = NULL;
	char chunk[1000];
	struct err e;
	size_t total = 0;
	ssize_t n;

	err_clear(&e);
	if (check(source_content(src, m, &c, &e), &e) != 1)
		return;
	while ((n = content_read(c, chunk, sizeof chunk, &e)) > 0)
		total += (size_t)n;
	if (n == -1 || total > size)
		abort();
	content_close(&c);
}

/* Through an open mailbox. */
static void
walk(struct source *src, struct arena *a, uint32_t from, size_t size)
{
	const struct msg_meta *want[WANTED];
	struct msg_meta m[WANTED], more;
	uint32_t last = 0;
	size_t n = 0;
	struct err e;
	int rc;

	err_clear(&e);
	while ((rc = check(source_next(src, a, n < WANTED ? &m[n] : &more,
	    &e), &e)) == 1) {
		const struct msg_meta *got = n < WANTED ? &m[n] : &more;

		if (got->uid <= last || got->key == NULL || (from > 1 &&
		    n > size))
			abort();
		last = got->uid;
		if (n < WANTED)
			want[n] = &m[n];
		n++;
	}
	if (n > WANTED)
		n = WANTED;
	if (rc == 0 && n > 0 && check(source_want(src, want, n, &e), &e) == 0)
		for (size_t i = n; i > 0; i--)
			read_one(src, want[(i * 5) % n], size);
}

static void
drive(struct source *src, struct arena *a, size_t size)
{
	struct folder_info *f = NULL;
	struct buf token;
	enum delta delta;
	struct err e;
	uint64_t count;
	size_t n;

	err_clear(&e);
	if (check(source_list(src, a, &f, &n, &e), &e) == -1 || n == 0 ||
	    f[0].noselect)
		return;
	buf_init(&token, 1000);
	for (uint32_t from = 0; from < 3; from++) {
		f[0].some = from == 2;
		if (check(source_folder_open(src, &f[0], from == 2 ? &token :
		    NULL, from, &delta, &e), &e) == -1)
			break;
		if (delta != DELTA_UNCHANGED)
			walk(src, a, from, size);
		check(source_folder_count(src, &count, &e), &e);
		check(source_folder_token(src, &token, &e), &e);
		source_folder_close(src);
	}
	buf_release(&token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_conf conf = { .password = "secret", .warn = ignore,
	    .cancel_fd = -1 };
	struct imap_session *s;
	struct imap_from *from;
	struct source *src;
	struct arena arena;
	struct buf all;
	struct err e;

	if (size == 0 || size > 65536)
		return 0;
	if (uri_parse(&conf.uri, "imap://u@h?tls=none", &e) == -1)
		abort();
	buf_init(&all, 1 << 20);
	buf_adds(&all, logins[data[0] % 2]);
	buf_add(&all, data + 1, size - 1);
	from = xcalloc(1, sizeof *from);
	from->src.conf = conf;
	from->all_names = data[0] & 2;
	if (imap_session_over(&s, imap_stream_memory(all.ptr, all.len, NULL),
	    &from->src.conf, false, &e) == -1)
		abort();
	src = imap_from_begin(from, s);
	src->ops = &imap_source;
	arena_init(&arena);
	drive(src, &arena, size);
	source_close(&src);
	arena_release(&arena);
	buf_release(&all);
	uri_free(&conf.uri);
	return 0;
}
