/* The hosts of in-memory stores. */
#include "mem/mem_host.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "mem/mem_impl.h"

#define GRACE_MS	500	/* what was on its way when it went down */

static struct mem_host *hosts;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
make(void)
{
	hosts = mmap(NULL, 2 * sizeof *hosts, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (hosts == MAP_FAILED)
		abort();
}

struct mem_host *
mem_host(bool target)
{
	pthread_once(&once, make);
	return &hosts[target];
}

void
mem_hosts_begin(void)
{
	for (int i = 0; i < 2; i++) {
		atomic_store(&mem_host(i)->sessions, 0);
		atomic_store(&mem_host(i)->probing, 0);
	}
	mem_stores_begin();
}

void
mem_hosts_reset(void)
{
	memset(mem_host(false), 0, 2 * sizeof *hosts);
}

static struct mem_host *
host_of(const struct mem_store *s)
{
	return mem_host(strncmp(s->name, "tgt", 3) == 0);
}

static void
sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	if (ms > 0)
		nanosleep(&t, NULL);
}

/* It is away; how often, and by how many at a time, it is tried. */
static int
refuse(struct mem_host *h, uint64_t now, struct err *e)
{
	uint64_t since = atomic_load(&h->down_until) -
	    atomic_load(&h->down_ms);

	if (now > since + GRACE_MS) {
		unsigned n = atomic_fetch_add(&h->probing, 1) + 1;

		atomic_fetch_add(&h->probes, 1);
		if (n > atomic_load(&h->probing_most))
			atomic_store(&h->probing_most, n);
		sleep_ms(50);
		atomic_fetch_sub(&h->probing, 1);
	}
	return err_retry(e, ERR_HOST, "connection refused");
}

/* It is being stopped, and calls the password wrong that it cannot look up. */
static bool
calls_wrong(struct mem_host *h)
{
	unsigned left = atomic_load(&h->wrong);

	while (left > 0 && !atomic_compare_exchange_weak(&h->wrong, &left,
	    left - 1))
		;
	return left > 0;
}

int
mem_session_open(struct mem_store *s, struct err *e)
{
	struct mem_host *h = host_of(s);
	uint64_t now = mem_now_ms();
	bool wrong, full, user_full;
	unsigned n;

	atomic_fetch_add(&h->opens, 1);
	wrong = s->login_fails || (atomic_load(&h->down_until) != 0 &&
	    calls_wrong(h));
	if (!wrong && now < atomic_load(&h->down_until))
		return refuse(h, now, e);
	if (wrong) {
		err_set(e, ERR_ACCOUNT, "login refused");
		e->cause = CAUSE_AUTH;
		return -1;
	}
	if (s->unavailable)
		return err_retry(e, ERR_HOST, "unavailable");
	if (s->hangs_up)
		return err_retry(e, ERR_ACCOUNT, "connection lost");
	mem_lock();
	full = h->cap != 0 && h->sessions >= h->cap;
	user_full = h->user_cap != 0 && s->sessions >= h->user_cap;
	if (!full && !user_full) {
		s->sessions++;
		n = atomic_fetch_add(&h->sessions, 1) + 1;
		if (n > h->most)
			h->most = n;
	}
	mem_unlock();
	if (!full && !user_full) {
		sleep_ms(h->open_ms);
		return 0;
	}
	atomic_fetch_add(&h->refused, 1);
	sleep_ms(h->hang_ms);
	return err_retry(e, full ? ERR_HOST : ERR_ACCOUNT, "no greeting");
}

void
mem_session_close(struct mem_store *s)
{
	struct mem_host *h = host_of(s);

	mem_lock();
	s->sessions--;
	atomic_fetch_sub(&h->sessions, 1);
	mem_unlock();
}

int
mem_session_batch(struct mem_store *s)
{
	struct mem_host *h = host_of(s);
	uint64_t now = mem_now_ms();
	unsigned at;

	sleep_ms(h->batch_ms);
	mem_lock();
	at = h->down_at;
	if (at > 0) {
		h->down_at = at - 1;
		if (at == 1)
			h->down_until = now + h->down_ms;
	}
	mem_unlock();
	return now < atomic_load(&h->down_until) ? -1 : 0;
}
