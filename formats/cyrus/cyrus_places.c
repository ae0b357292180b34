/* Where Cyrus has its programs. */
#include "cyrus/cyrus_places.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* Of packages and of a build from source. */
static const char *const places[] = {
	"/usr/lib/cyrus/bin", "/usr/lib/cyrus-imapd", "/usr/libexec/cyrus-imapd",
	"/usr/lib/cyrus-imapd/bin", "/usr/cyrus/bin", "/usr/cyrus/libexec",
	"/usr/local/cyrus/libexec", "/usr/local/libexec/cyrus-imapd",
	"/usr/local/libexec", "/usr/local/cyrus/bin", "/usr/cyrus/sbin",
	"/usr/local/cyrus/sbin", "/usr/sbin", "/usr/local/sbin", NULL
};

static bool
is_there(const char *dir, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

int
cyrus_program(const char *name, const char *libexec, char path[PATH_MAX],
    struct err *e)
{
	if (libexec != NULL) {
		if (is_there(libexec, name, path))
			return 0;
		return err_sys(e, ERR_ACCOUNT, "libexec=%s: %s", libexec, path);
	}
	for (size_t i = 0; places[i] != NULL; i++)
		if (is_there(places[i], name, path))
			return 0;
	return err_set(e, ERR_ACCOUNT, "%s is in no known place: install Cyrus' "
	    "replication package, or say where it is with libexec=", name);
}
