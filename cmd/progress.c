/* Progress for people, on stderr. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_MS 30000

void
progress_start(struct progress *p, bool quiet)
{
	memset(p, 0, sizeof *p);
	p->quiet = quiet;
	p->tty = isatty(STDERR_FILENO);
	p->last_ms = now_ms();
}

/* How long it will still take, and how that is known. */
static void
add_eta(const struct run *run, bool brief, char *line, size_t size)
{
	const struct eta *eta = &run->eta;
	size_t len = strlen(line);
	uint64_t s = eta->left_s;

	if (atomic_load(&run->paused) || atomic_load(&run->full)) {
		snprintf(line + len, size - len, ", %s",
		    atomic_load(&run->paused) ? "PAUSED" :
		    "WAITING: less than min-free beside the state");
		return;
	}
	if (!eta->known)
		return;
	snprintf(line + len, size - len, ", about %" PRIu64 ":%02" PRIu64
	    ":%02" PRIu64 " left%s%s%s", s / 3600, s / 60 % 60, s % 60,
	    brief ? "" : " (", brief ? "" : eta->basis, brief ? "" : ")");
}

void
progress_tick(void *ctx, const struct run *run)
{
	struct progress *p = ctx;
	uint64_t now = now_ms(), sent = atomic_load(&run->sent),
	    bytes = atomic_load(&run->sent_bytes),
	    seen = atomic_load(&run->seen), ms = now - p->last_ms;
	char line[640];

	if (p->quiet || ms == 0 || (!p->tty && ms < PLAIN_MS))
		return;
	p->rate = (p->rate * 3 + (double)(sent - p->last_sent) * 1000 /
	    (double)ms) / 4;
	p->byte_rate = (p->byte_rate * 3 + (double)(bytes - p->last_bytes) *
	    1000 / (double)ms) / 4;
	p->last_ms = now;
	p->last_sent = sent;
	p->last_bytes = bytes;
	snprintf(line, sizeof line, "%" PRIu64 "/%" PRIu64 " accounts, %"
	    PRIu64 " mailboxes, %" PRIu64 " messages met, %" PRIu64 " sent, "
	    "%.1f MB, %.0f/s, %.1f MB/s",
	    atomic_load(&run->accounts_done), atomic_load(&run->accounts_total),
	    atomic_load(&run->mailboxes), seen, sent, (double)bytes / 1e6,
	    p->rate, p->byte_rate / 1e6);
	add_eta(run, p->tty, line, sizeof line);
	if (p->tty) {
		fprintf(stderr, "\r%.*s\033[K", 120, line);
		fflush(stderr);
		p->shown = true;
	} else
		fprintf(stderr, "%s\n", line);
}

void
progress_stop(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
