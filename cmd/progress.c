/* Progress for people, on stderr. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_MS 30000

void
progress_start(struct progress *p, bool quiet, uint64_t expected)
{
	memset(p, 0, sizeof *p);
	p->quiet = quiet;
	p->tty = isatty(STDERR_FILENO);
	p->expected = expected;
	p->started_ms = p->last_ms = now_ms();
}

/* What is left, from the messages of the last pass; "" when unknown. */
static void
eta(const struct progress *p, uint64_t seen, double seen_rate, char *out,
    size_t size)
{
	uint64_t left;

	out[0] = '\0';
	if (p->expected <= seen || seen_rate < 0.1)
		return;
	left = (uint64_t)((double)(p->expected - seen) / seen_rate);
	snprintf(out, size, ", about %" PRIu64 ":%02" PRIu64 ":%02" PRIu64
	    " left", left / 3600, left / 60 % 60, left % 60);
}

void
progress_tick(void *ctx, const struct run *run)
{
	struct progress *p = ctx;
	uint64_t now = now_ms(), sent = atomic_load(&run->sent),
	    bytes = atomic_load(&run->sent_bytes),
	    seen = atomic_load(&run->seen), ms = now - p->last_ms;
	char line[256], left[64];

	if (p->quiet || ms == 0 || (!p->tty && ms < PLAIN_MS))
		return;
	p->rate = (p->rate * 3 + (double)(sent - p->last_sent) * 1000 /
	    (double)ms) / 4;
	p->byte_rate = (p->byte_rate * 3 + (double)(bytes - p->last_bytes) *
	    1000 / (double)ms) / 4;
	p->last_ms = now;
	p->last_sent = sent;
	p->last_bytes = bytes;
	eta(p, seen, (double)seen * 1000 / (double)(now - p->started_ms),
	    left, sizeof left);
	snprintf(line, sizeof line, "%" PRIu64 "/%" PRIu64 " accounts, %"
	    PRIu64 " mailboxes, %" PRIu64 " messages met, %" PRIu64 " sent, "
	    "%.1f MB, %.0f/s, %.1f MB/s%s",
	    atomic_load(&run->accounts_done), atomic_load(&run->accounts_total),
	    atomic_load(&run->mailboxes), seen, sent, (double)bytes / 1e6,
	    p->rate, p->byte_rate / 1e6, left);
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
