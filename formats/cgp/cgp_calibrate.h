/*
 * What is assumed of CommuniGate's files, learnt from one account that can be
 * read both ways: from disk and over the server's IMAP.  Messages are joined by
 * mailbox and UID.
 */
#ifndef CGP_CALIBRATE_H
#define CGP_CALIBRATE_H

#include "base/buf.h"
#include "source.h"

/*
 * disk is a cgp: source, server any other one of the same account; both are
 * open, with no mailbox open.  Appends lines for the section [source] of a job
 * file, each with a comment (";") behind it that tells how many messages say
 * so and how many contradict.  read_most: so many messages are read for line
 * ends and sizes.  *joined: messages that were found on both sides; with none
 * nothing can be said.
 */
int	cgp_calibrate(struct source *disk, struct source *server,
	    uint64_t read_most, struct buf *out, uint64_t *joined,
	    struct err *);

#endif
