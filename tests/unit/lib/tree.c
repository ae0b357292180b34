/* A private directory for each test. */
#include "unit/lib/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char tree_top[64];
struct buf tree_warnings;

void
tree_warn(void *ctx, const char *mailbox, const char *where, const char *text)
{
	(void)ctx;
	buf_addf(&tree_warnings, "%s|%s|%s\n", mailbox != NULL ? mailbox :
	    "-", where != NULL ? where : "-", text);
}

int
tree_setup(void **state)
{
	const char *dir = getenv("TMPDIR");

	(void)state;
	snprintf(tree_top, sizeof tree_top, "%.40s/test-tree.XXXXXX",
	    dir != NULL && dir[0] != '\0' ? dir : "/tmp");
	buf_init(&tree_warnings, 1 << 20);
	return mkdtemp(tree_top) != NULL ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int
tree_teardown(void **state)
{
	(void)state;
	buf_release(&tree_warnings);
	return nftw(tree_top, remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

const char *
at(const char *name)
{
	static char paths[4][8192];
	static int next;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof paths[next], "%s/%s", tree_top, name);
	return paths[next];
}

void
make_dir(const char *name)
{
	char path[8192], *p;

	snprintf(path, sizeof path, "%s/%s/", tree_top, name);
	for (p = path + strlen(tree_top) + 1; (p = strchr(p, '/')) != NULL;
	    p++) {
		*p = '\0';
		if (mkdir(path, 0700) == -1)
			assert_int_equal(errno, EEXIST);
		*p = '/';
	}
}

void
put(const char *name, const char *text)
{
	char dir[4096], *slash;
	FILE *f;

	snprintf(dir, sizeof dir, "%s", name);
	if ((slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		make_dir(dir);
	}
	f = fopen(at(name), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}
