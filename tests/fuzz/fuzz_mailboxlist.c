/*
 * .mailboxlist of a UW home: names are relative to the home and have no empty
 * level and no "." in them, so that they can only be found below it; each comes
 * from a line of the file, in order.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "mbox/mbox_subs.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)	do { if (!(x)) abort(); } while (0)

static void
check_name(const char *name)
{
	size_t len = strlen(name);

	CHECK(len > 0 && name[0] != '/' && name[len - 1] != '/');
	CHECK(strstr(name, "//") == NULL && strstr(name, "/./") == NULL);
	CHECK(strchr(name, '\n') == NULL && strcmp(name, ".") != 0);
	CHECK(strncmp(name, "./", 2) != 0);
	CHECK(len < 2 || strcmp(name + len - 2, "/.") != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const *names;
	size_t lines = 1, n = 0;
	struct arena a;

	arena_init(&a);
	names = mbox_wanted_parse((const char *)data, size, &a);
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	for (; names[n] != NULL; n++)
		check_name(names[n]);
	CHECK(n <= lines);
	arena_release(&a);
	return 0;
}
