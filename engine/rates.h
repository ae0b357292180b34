/*
 * What was sent over time, drawn together into so many stretches at most: when
 * there are more, neighbours of a pass become one, each stretch twice as long.
 */
#ifndef ENGINE_RATES_H
#define ENGINE_RATES_H

#include "report_impl.h"

#define RATES_MAX	240

struct rates {
	struct rep_rate	 slot[RATES_MAX];
	size_t		 n, max;	/* max: 2 to RATES_MAX */
	int64_t		 width;		/* seconds of each */
};

void	rates_begin(struct rates *, size_t max);
void	rates_add(struct rates *, const struct rep_rate *);
/* Progress and rate as inline SVG. */
void	rates_chart(const struct rates *, FILE *);

#endif
