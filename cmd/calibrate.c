/* mailhaul calibrate: what the files of a CommuniGate server mean, learnt from
 * one account that can be read both ways. */
#include <stdio.h>
#include <string.h>

#include "cgp/cgp_calibrate.h"
#include "job.h"

#define READ_MOST	2000	/* messages whose contents are looked at */

static void
on_warning(void *ctx, const char *mailbox, const char *where,
    const char *text)
{
	(void)ctx;
	fputs("mailhaul: ", stderr);
	if (mailbox != NULL) {
		text_show(stderr, mailbox);
		fputs(": ", stderr);
	}
	if (where != NULL) {
		text_show(stderr, where);
		fputs(": ", stderr);
	}
	text_show(stderr, text);
	putc('\n', stderr);
}

/* The lines go to standard output; keywords come from a server. */
static int
print_lines(const struct buf *out, uint64_t joined)
{
	const char *p = out->ptr, *lf;
	char line[4096];

	for (; (lf = strchr(p, '\n')) != NULL; p = lf + 1) {
		snprintf(line, sizeof line, "%.*s", (int)(lf - p), p);
		text_show(stdout, line);
		putchar('\n');
	}
	return joined > 0 ? EXIT_DONE : EXIT_ACCOUNTS;
}

static int
calibrate(const struct account *a)
{
	struct store_conf disk = { .uri = a->src_uri, .warn = on_warning,
	    .cancel_fd = -1 };
	struct store_conf server = { .uri = a->tgt_uri,
	    .password = a->tgt_password, .warn = on_warning, .cancel_fd = -1 };
	struct source *from = NULL, *to = NULL;
	uint64_t joined;
	struct buf out;
	struct err e;
	int code;

	buf_init(&out, 1 << 20);
	if (source_open(&from, &disk, &e) == 0 &&
	    source_open(&to, &server, &e) == 0 &&
	    cgp_calibrate(from, to, READ_MOST, &out, &joined, &e) == 0)
		code = print_lines(&out, joined);
	else {
		fprintf(stderr, "mailhaul: ");
		text_show(stderr, e.text);
		fputc('\n', stderr);
		code = e.retry ? EXIT_AGAIN : EXIT_ACCOUNTS;
	}
	source_close(&to);
	source_close(&from);
	buf_release(&out);
	return code;
}

int
cmd_calibrate(int argc, char **argv)
{
	struct job j;
	int code;

	code = job_load(&j, "calibrate", argc, argv);
	if (code == OPTS_GO && j.n != 1)
		code = usage_error("calibrate", "give one account, by --only "
		    "NAME");
	else if (code == OPTS_GO &&
	    (strcmp(j.order[0]->src_uri->scheme, "cgp") != 0 ||
	    strncmp(j.order[0]->tgt_uri->scheme, "imap", 4) != 0))
		code = usage_error("calibrate", "it wants a source cgp: and "
		    "the server itself as imap: or imaps:");
	else if (code == OPTS_GO)
		code = calibrate(j.order[0]);
	job_release(&j);
	return code;
}
