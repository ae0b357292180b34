/*
 * Letters of access rights.
 *
 *	RFC 2086	l r s w i p c d a
 *	RFC 4314	l r s w i p k x t e a	k and x were c, t and e were d
 *
 * A server of the newer kind shows c and d as well, for old clients; they mean
 * nothing there.
 */
#ifndef FORMATS_ACL_H
#define FORMATS_ACL_H

#include <stdbool.h>

#define ACL_MAX		32	/* bytes that a set of letters may take */

/* Letters of either kind as those of RFC 4314, in its order; "" when one is
 * unknown. */
void	acl_rights(const char *letters, char out[ACL_MAX]);
/* What a server tells, to be compared with the above: c and d left out where
 * it is of the newer kind, letters of its own at the end. */
void	acl_told(const char *letters, bool newer, char out[ACL_MAX]);
/* Rights for a server of the older kind.  c stands for what k or x give, d for
 * t or e. */
void	acl_older(const char *rights, char out[ACL_MAX]);

#endif
