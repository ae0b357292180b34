/* A cap of sessions. */
#include "host_cap.h"

#define RAISE_FACTOR_MAX	16	/* of the first pause */
#define RECENT_MS		120000
#define UNSURE_MS		3000

void
cap_start(struct cap *c, unsigned limit, uint64_t now,
    uint64_t raise_after_ms)
{
	*c = (struct cap){ .limit = limit, .proven = limit,
	    .pause_ms = raise_after_ms, .raise_ms = now + raise_after_ms };
}

bool
cap_allows(const struct cap *c, unsigned n, uint64_t now)
{
	if (c->limit != 0 && n >= c->limit)
		return n == c->limit && now >= c->raise_ms && c->growing == 0;
	return n < c->proven || c->growing < (c->proven > 2 ? c->proven / 2 :
	    1);
}

bool
cap_take(struct cap *c, unsigned n)
{
	if (n < c->proven)
		return false;
	c->growing++;
	return true;
}

void
cap_left(struct cap *c)
{
	if (c->growing > 0)
		c->growing--;
}

int
cap_worked(struct cap *c, unsigned n, uint64_t now, uint64_t raise_after_ms)
{
	if (n > c->proven)
		c->proven = n;
	if (c->limit == 0 || n <= c->limit)
		return 0;
	c->limit = n;
	c->pause_ms = raise_after_ms;
	c->raise_ms = now + raise_after_ms;
	return 1;
}

void
cap_refused(struct cap *c, unsigned n, uint64_t now, uint64_t raise_after_ms,
    bool unsure)
{
	unsigned was = c->limit;

	/* Several in short time are taken back together. */
	if (c->learnt_ms == 0 || now - c->learnt_ms > RECENT_MS)
		c->before = c->limit;
	c->learnt_ms = now;
	c->limit = n > 0 ? n : 1;
	if (c->proven > c->limit)
		c->proven = c->limit;
	/* Each vain trial makes the next one rarer. */
	if (was == 0 || c->limit < was || c->pause_ms < raise_after_ms)
		c->pause_ms = raise_after_ms;
	else if (c->pause_ms < RAISE_FACTOR_MAX * raise_after_ms)
		c->pause_ms *= 2;
	if (unsure && c->limit != was && raise_after_ms > UNSURE_MS)
		c->pause_ms = UNSURE_MS;
	c->raise_ms = now + c->pause_ms;
}

void
cap_take_back(struct cap *c, uint64_t now)
{
	if (c->learnt_ms == 0 || now - c->learnt_ms > RECENT_MS)
		return;
	c->limit = c->before;
	c->learnt_ms = 0;
}
