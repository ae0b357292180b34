/* The words of verdicts. */
#include "audit.h"

#include <string.h>

static const char *const names[VERDICTS] = {
	"equal", "expected", "since", "altered", "uid", "flags", "keywords",
	"date", "missing", "extra", "duplicated", "moved", "unreadable",
	"moving"
};

const char *
verdict_name(enum verdict v)
{
	return names[v];
}

enum verdict
verdict_of_name(const char *name)
{
	enum verdict v;

	for (v = 0; v < VERDICTS; v++)
		if (strcmp(names[v], name) == 0)
			break;
	return v;
}
