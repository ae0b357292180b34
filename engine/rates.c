/* What was sent over time, in a few stretches, and a chart of them. */
#include "rates.h"

#include <inttypes.h>
#include <string.h>

#define WIDTH	900.0
#define HEIGHT	220.0
#define TOP	20.0

void
rates_begin(struct rates *r, size_t max)
{
	memset(r, 0, sizeof *r);
	r->max = max;
	r->width = PACE_SECONDS;
}

/* Of more passes than there is room for, the older ones become one. */
static bool
goes_with(const struct rates *r, const struct rep_rate *a,
    const struct rep_rate *b)
{
	return (a->pass == b->pass && b->start - a->start < r->width) ||
	    r->width > (int64_t)1 << 40;
}

static void
draw_together(struct rates *r)
{
	size_t n = 1;

	r->width *= 2;
	for (size_t i = 1; i < r->n; i++) {
		struct rep_rate *last = &r->slot[n - 1];

		if (goes_with(r, last, &r->slot[i])) {
			last->sent += r->slot[i].sent;
			last->sent_bytes += r->slot[i].sent_bytes;
		} else
			r->slot[n++] = r->slot[i];
	}
	r->n = n;
}

void
rates_add(struct rates *r, const struct rep_rate *a)
{
	struct rep_rate *last;

	while (r->n == 0 || !goes_with(r, &r->slot[r->n - 1], a)) {
		if (r->n < r->max) {
			r->slot[r->n++] = *a;
			return;
		}
		draw_together(r);
	}
	last = &r->slot[r->n - 1];
	last->sent += a->sent;
	last->sent_bytes += a->sent_bytes;
}

/* Seconds of work up to each stretch: passes stand side by side, the time
 * between them is left out. */
static int64_t
lay_out(const struct rates *r, int64_t at[RATES_MAX])
{
	int64_t before = 0, first = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (i == 0 || r->slot[i].pass != r->slot[i - 1].pass) {
			if (i > 0)
				before = at[i - 1] + r->width;
			first = r->slot[i].start;
		}
		at[i] = before + (r->slot[i].start - first);
	}
	return r->n == 0 ? 0 : at[r->n - 1] + r->width;
}

static void
put_bars(const struct rates *r, const int64_t *at, double scale, int64_t most,
    FILE *out)
{
	char bytes[24], when[40];

	for (size_t i = 0; i < r->n; i++) {
		const struct rep_rate *s = &r->slot[i];
		double h = HEIGHT * (double)s->sent / (double)most;

		fprintf(out, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" "
		    "width=\"%.1f\" height=\"%.1f\"><title>%s, pass %" PRId64
		    ": %" PRId64 " messages, %s in %" PRId64 " s</title>"
		    "</rect>\n", (double)at[i] * scale, TOP + HEIGHT - h,
		    (double)r->width * scale, h, report_time(when, sizeof when,
		    s->start), s->pass, s->sent, report_bytes(bytes,
		    sizeof bytes, s->sent_bytes), r->width);
	}
}

static void
put_sum(const struct rates *r, const int64_t *at, double scale, int64_t total,
    FILE *out)
{
	int64_t sum = 0;

	fputs("<polyline class=\"sum\" points=\"", out);
	for (size_t i = 0; i < r->n; i++) {
		fprintf(out, "%.1f,%.1f ", (double)at[i] * scale, TOP + HEIGHT -
		    HEIGHT * (double)sum / (double)total);
		sum += r->slot[i].sent;
		fprintf(out, "%.1f,%.1f ", (double)(at[i] + r->width) * scale,
		    TOP + HEIGHT - HEIGHT * (double)sum / (double)total);
	}
	fputs("\"/>\n", out);
}

/* A line where a pass begins, with its time as long as there is room. */
static void
put_passes(const struct rates *r, const int64_t *at, double scale, FILE *out)
{
	double free_from = 0;
	char when[40];

	for (size_t i = 0; i < r->n; i++) {
		double x = (double)at[i] * scale;

		if (i > 0 && r->slot[i].pass == r->slot[i - 1].pass)
			continue;
		fprintf(out, "<line class=\"cut\" x1=\"%.1f\" x2=\"%.1f\" "
		    "y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x, TOP, TOP + HEIGHT);
		if (x < free_from || x > WIDTH - 150)
			continue;
		fprintf(out, "<text x=\"%.1f\" y=\"%.1f\">pass %" PRId64 ", %s"
		    "</text>\n", x + 3, TOP + HEIGHT + 16, r->slot[i].pass,
		    report_time(when, sizeof when, r->slot[i].start));
		free_from = x + 190;
	}
}

void
rates_chart(const struct rates *r, FILE *out)
{
	int64_t at[RATES_MAX], span = lay_out(r, at), most = 1, total = 0;
	double scale = span > 0 ? WIDTH / (double)span : 1;

	for (size_t i = 0; i < r->n; i++) {
		total += r->slot[i].sent;
		if (r->slot[i].sent > most)
			most = r->slot[i].sent;
	}
	if (total == 0) {
		fputs("<p>Nothing was sent.</p>\n", out);
		return;
	}
	fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
	    "aria-label=\"Progress and rate\">\n", WIDTH, TOP + HEIGHT + 24);
	fprintf(out, "<line class=\"axis\" x1=\"0\" x2=\"%.0f\" y1=\"%.1f\" "
	    "y2=\"%.1f\"/>\n", WIDTH, TOP + HEIGHT, TOP + HEIGHT);
	put_bars(r, at, scale, most, out);
	put_sum(r, at, scale, total, out);
	put_passes(r, at, scale, out);
	fprintf(out, "<text class=\"left\" x=\"0\" y=\"12\">line: %" PRId64
	    " messages in all</text>\n<text class=\"right\" x=\"%.0f\" "
	    "y=\"12\">bars: up to %.1f messages/s, in %" PRId64 " s each"
	    "</text>\n</svg>\n", total, WIDTH, (double)most /
	    (double)r->width, r->width);
}
