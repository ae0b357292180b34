/*
 * Access rights of mailboxes, and subscriptions to mailboxes of others.
 *
 * What the source tells is kept in the state (tables access and foreign_box).
 * Rights are given at the end of an account, when its mailboxes are there;
 * subscriptions to mailboxes of others at the end of the run, when all
 * accounts are.  Who somebody is at the target, the account list tells.
 *
 * Nothing is taken back, and what somebody else has changed at the target stays
 * as it is: a right is given if nobody has any there, or if what is there is
 * what was given last.  There is an op row for each change, before it.
 * All that is not carried over is a line of the report, of kind "access".
 */
#ifndef ENGINE_RIGHTS_H
#define ENGINE_RIGHTS_H

#include "account.h"

/* What the source, which is listed, tells of the lane's account; its pairs have
 * rows. */
int	rights_note(struct lane *, struct account *, struct err *);
/* Gives them in mailboxes whose pair is done; *shares: there are subscriptions
 * to be made when all accounts are done. */
int	rights_give(struct lane *, struct account *, bool *shares,
	    struct err *);
/* Makes these. */
int	rights_subscribe(struct lane *, struct account *, struct err *);

#endif
