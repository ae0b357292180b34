/*
 * A server's base directory: its domains, and where accounts lie in them.
 *
 *	BASE/Settings/Main.settings	DomainName: the main domain
 *	BASE/Accounts/			accounts of the main domain
 *	BASE/Domains/DOMAIN/		those of the others
 *
 * In a domain's directory an account is NAME.macnt/, or, with one mailbox
 * only, NAME.mbox, NAME.mdir/ or NAME.mslc beside NAME.settings.  Foldered
 * domains have them in directories below; these are walked, never computed.
 */
#ifndef CGP_BASE_H
#define CGP_BASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "cgp/cgp_dict.h"

/* Where an account is.  Strings live in the arena; descriptors are owned, -1:
 * not known. */
struct cgp_place {
	int		 dirfd;		/* its directory; of a single-mailbox
					 * account the one that it lies in */
	int		 domfd;		/* its domain's directory */
	int		 basefd;
	const char	*name;		/* without domain and extension */
	const char	*domain;	/* NULL: the main one, name unknown */
	const char	*path;		/* for people: below the base */
	const char	*single;	/* NAME of a single-mailbox account */
};

void	cgp_place_init(struct cgp_place *);
void	cgp_place_release(struct cgp_place *);

/* Is this a base directory?  It has Accounts/ or Domains/. */
bool	cgp_is_base(int fd);
/* The server has it open: BASE/ProcessID is there. */
bool	cgp_is_running(int basefd);
/* The name of the main domain: what Main.settings says, NULL: nothing that can
 * be used. */
const char *cgp_main_domain(int basefd, struct arena *);

/*
 * The account NAME or NAME@DOMAIN.  main_domain: as the user says it, or NULL.
 * CAUSE_MISSING: there is none.  Two of one name are an error.
 */
int	cgp_find(int basefd, const char *account, const char *main_domain,
	    struct arena *, struct cgp_place *, struct err *);
/* The account whose directory (PATH/NAME.macnt) is dirfd, which is taken over.
 * Base and domain are looked for above it. */
void	cgp_here(int dirfd, const char *path, struct arena *,
	    struct cgp_place *);

/* Calls fn with each account of the base, by domain and name; the place is
 * released afterwards.  What cannot be read, and files that look like accounts
 * and are none, go to tell. */
typedef int cgp_place_fn(void *ctx, struct cgp_place *, struct err *);
typedef void cgp_tell_fn(void *ctx, const char *where, const char *text);
int	cgp_each(int basefd, const char *main_domain, cgp_place_fn *,
	    cgp_tell_fn *, void *ctx, struct err *);

/* A setting of the account, wherever it is inherited from: own is its
 * account.settings (may be NULL), then the domain's AccountDefaults, then the
 * server's.  "default" inherits.  NULL: it is set nowhere. */
struct cgp_defaults {
	struct dict_value *own, *domain, *server;
};
void	cgp_defaults_read(const struct cgp_place *, struct dict_value *own,
	    struct arena *, struct cgp_defaults *);
/* The dictionary that has the key, and not "default"; NULL: none. */
const struct dict_value *cgp_setting(const struct cgp_defaults *,
	    const char *key);

#endif
