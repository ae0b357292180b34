/* The time between two passes. */
#include "repeat.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static void
ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	/* A terminal that is lost ends nothing. */
	sigaddset(set, SIGHUP);
}

void
repeat_begin(const struct job *j)
{
	sigset_t set;

	if (!config_isset(j->cfg, CFG_REPEAT_EVERY))
		return;
	ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Sleeps; true: somebody wants the program to end. */
static bool
interrupted(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) *
	    1000000 };
	sigset_t set;
	int number;

	ending_signals(&set);
	number = sigtimedwait(&set, NULL, &t);
	return number == SIGINT || number == SIGTERM;
}

bool
repeat_wait(struct job *j, uint64_t begun, int code)
{
	uint64_t every, next, left;

	if (!config_isset(j->cfg, CFG_REPEAT_EVERY) || j->stopped ||
	    code == EXIT_MISUSE || code == EXIT_INTERNAL)
		return false;
	every = config_num(j->cfg, CFG_REPEAT_EVERY) * 1000;
	next = begun + every;
	if (!config_bool(j->cfg, CFG_QUIET))
		fprintf(stderr, "mailhaul: the next pass begins in %" PRIu64
		    " s\n", next > now_ms() ? (next - now_ms() + 999) / 1000 :
		    0);
	for (;;) {
		uint64_t now = now_ms();

		left = settings_left_ms(&j->set, now, time(NULL));
		if (left == 0)
			return false;
		if (now >= next)
			return true;
		if (left > next - now)
			left = next - now;
		/* The clock on the wall may be set meanwhile. */
		if (interrupted(left < 60000 ? left : 60000))
			return false;
	}
}
