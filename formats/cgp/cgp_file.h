/* Opening what lies in a server's tree, as in base/quiet.h. */
#ifndef CGP_FILE_H
#define CGP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/quiet.h"
#include "cgp/cgp_dict.h"

/* One level below dirfd.  -1 with errno; cgp_open() gives EINVAL for what is
 * no regular file. */
int	cgp_open_dir(int dirfd, const char *name);
int	cgp_open(int dirfd, const char *name, struct stat *);
/* A path of several levels; "" is dirfd itself. */
int	cgp_open_dir_at(int dirfd, const char *path);
/* Is there anything of that name? */
bool	cgp_exists(int dirfd, const char *name);

/* All names of a directory but "." and "..", sorted, in the arena. */
int	cgp_names(int dirfd, struct arena *, const char ***names, size_t *n,
	    struct err *);
/* Does name end with ext (with its dot), and in more than that? */
bool	cgp_has_ext(const char *name, const char *ext);
/* For people: control and 8-bit bytes that are no UTF-8 as \xNN. */
const char *cgp_show(struct arena *, const char *name);

/* The dictionary in a file: 1; 0: there is none.  -1: *e says why it could not
 * be read, and *v has what was read before (NULL: nothing). */
int	cgp_read_dict(int dirfd, const char *name, struct arena *,
	    struct dict_value **v, struct err *);

#endif
