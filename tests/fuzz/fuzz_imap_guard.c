/*
 * A hostile server against libetpan behind the guard: the input is everything
 * the server says, from the greeting on.  Whatever it is, the session must end
 * in an error or in a working state, never in a crash, a leak or a loop; and
 * libetpan must be in step with our own reader afterwards.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imap/imap_session.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
ignore(void *ctx, const char *box, const char *where, const char *text)
{
	(void)ctx;
	(void)box;
	(void)where;
	(void)text;
}

/* The first byte chooses how to log in. */
static const char *const uris[] = {
	"imap://u@h?tls=none", "imap://u@h?tls=none&auth=login",
	"imap://u@h?tls=none&auth=plain", "imap://u@h?tls=none&auth=cram-md5",
	"imap://u@h?tls=none&auth=digest-md5",
	"imap://u@h?tls=none&auth=scram-sha-1",
	"imap://u@h?tls=none&auth=xoauth2",
	"imap://u@h?tls=none&auth=oauthbearer"
};
#define NURIS (sizeof uris / sizeof uris[0])

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const commands[] = {
		"CREATE \"x\"", "SUBSCRIBE \"x\"", "DELETE \"x\""
	};
	struct store_conf conf = { .password = "secret", .warn = ignore,
	    .cancel_fd = -1 };
	struct imap_session *s;
	struct imap_selected sel;
	struct imap_box box;
	struct err e;

	if (size == 0 || size > 65536)
		return 0;
	if (uri_parse(&conf.uri, uris[data[0] % NURIS], &e) == -1)
		abort();
	if (imap_session_over(&s, imap_stream_memory(data + 1, size - 1,
	    NULL), &conf, false, &e) == -1) {
		if (e.scope == ERR_NONE || e.text[0] == '\0')
			abort();
		uri_free(&conf.uri);
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (imap_small(s, commands[i], &e) == -1)
			break;
	if (!s->dead)
		imap_status(s, "INBOX", &box, &e);
	if (!s->dead && imap_select(s, "INBOX", false, &sel, &e) == 1)
		imap_words_release(&sel.keywords);
	if (!s->dead)
		imap_small(s, "UNSUBSCRIBE \"x\"", &e);
	imap_session_close(&s);
	uri_free(&conf.uri);
	return 0;
}
