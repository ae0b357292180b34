/* Where Cyrus has its programs. */
#ifndef CYRUS_PLACES_H
#define CYRUS_PLACES_H

#include <limits.h>

#include "base/err.h"

/* libexec: the directory of them, NULL: where packages have them. */
int	cyrus_program(const char *name, const char *libexec,
	    char path[PATH_MAX], struct err *);

#endif
