/* JUnit XML. */
#include "junit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "markup.h"
#include "report_impl.h"

void
junit_begin(FILE *out, const char *name, int64_t when)
{
	char text[32];

	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	    "<testsuites name=\"%s\" timestamp=\"%s\">\n", name,
	    report_stamp(text, sizeof text, when));
}

void
junit_end(FILE *out)
{
	fputs("</testsuites>\n", out);
}

void
junit_suite(struct junit *s)
{
	memset(s, 0, sizeof *s);
	if ((s->cases = open_memstream(&s->text, &s->len)) == NULL)
		abort();
}

void
junit_case(struct junit *s, const char *suite, const char *name,
    enum junit_result result, const char *what, const char *more)
{
	static const char *const elements[] = { NULL, "failure", "error",
	    "skipped" };

	s->tests++;
	s->failures += result == JUNIT_FAILURE;
	s->errors += result == JUNIT_ERROR;
	s->skipped += result == JUNIT_SKIPPED;
	fputs("  <testcase classname=\"", s->cases);
	markup_text(s->cases, suite, 0);
	fputs("\" name=\"", s->cases);
	markup_text(s->cases, name, 0);
	if (result == JUNIT_GOOD) {
		fputs("\"/>\n", s->cases);
		return;
	}
	fprintf(s->cases, "\"><%s message=\"", elements[result]);
	markup_text(s->cases, what, 0);
	if (more != NULL) {
		fputs(*what != '\0' ? ": " : "", s->cases);
		markup_text(s->cases, more, 0);
	}
	fputs("\"/></testcase>\n", s->cases);
}

void
junit_suite_end(struct junit *s, const char *name, FILE *out)
{
	if (fclose(s->cases) != 0)
		abort();
	if (out != NULL) {
		fputs(" <testsuite name=\"", out);
		markup_text(out, name, 0);
		fprintf(out, "\" tests=\"%" PRId64 "\" failures=\"%" PRId64
		    "\" errors=\"%" PRId64 "\" skipped=\"%" PRId64 "\">\n",
		    s->tests, s->failures, s->errors, s->skipped);
		fwrite(s->text, 1, s->len, out);
		fputs(" </testsuite>\n", out);
	}
	free(s->text);
}
