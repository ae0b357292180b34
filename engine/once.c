/* What was said already. */
#include "once.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"

#define TEXTS_MAX	200

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *texts[TEXTS_MAX];
static size_t ntexts;

bool
once_first(const char *what)
{
	bool first;
	size_t i;

	pthread_mutex_lock(&mutex);
	for (i = 0; i < ntexts; i++)
		if (strcmp(texts[i], what) == 0)
			break;
	first = i == ntexts && ntexts < TEXTS_MAX;
	if (first)
		texts[ntexts++] = xstrdup(what);
	pthread_mutex_unlock(&mutex);
	return first;
}
