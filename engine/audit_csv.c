/* The differences that an audit has found, as CSV. */
#include <inttypes.h>

#include "audit_write.h"
#include "text.h"

static void
known(FILE *out, uint64_t n, uint64_t unknown)
{
	if (n != unknown)
		fprintf(out, "\"%" PRIu64 "\",", n);
	else
		fputs("\"\",", out);
}

static int
put_difference(void *ctx, const struct audit_row_difference *d, struct err *e)
{
	FILE *out = ctx;

	(void)e;
	text_csv(out, d->account_name, ',');
	text_csv(out, d->box_name, ',');
	text_csv(out, d->box_target, ',');
	text_csv(out, d->message ? "yes" : "no", ',');
	text_csv(out, verdict_name(d->verdict), ',');
	text_csv(out, d->cause, ',');
	known(out, d->source_uid, 0);
	known(out, d->target_uid, 0);
	text_csv(out, d->where, ',');
	text_csv(out, d->message_id, ',');
	text_csv(out, d->subject, ',');
	known(out, d->size, UNKNOWN64);
	text_csv(out, d->detail, '\n');
	return 0;
}

int
audit_csv(struct audit *au, FILE *out, struct err *e)
{
	fputs("\"account\",\"mailbox\",\"target_mailbox\",\"message\","
	    "\"verdict\",\"cause\",\"source_uid\",\"target_uid\",\"where\","
	    "\"message_id\",\"subject\",\"size\",\"detail\"\r\n", out);
	return audit_differences(au, 0, 0, put_difference, out, e);
}
