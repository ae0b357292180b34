/* The little that has to be known of what is in a message. */
#ifndef CGP_HEAD_H
#define CGP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

/* The date of the topmost Received, else (with also_date) that of Date, from
 * the first bytes of a message at off in fd: true, and date, zone and
 * date_origin of m. */
bool	cgp_head_date(int fd, uint64_t off, uint64_t len, bool also_date,
	    struct msg_meta *m);

/* Where a message starts behind the envelope that files of the mail queue
 * begin with: lines "P ...", "R ..." and other single capitals, an empty line,
 * then a header field.  0: there is none.  -1: it cannot be read (errno). */
int64_t	cgp_head_preamble(int fd);
/* The same of the first n bytes; for tests. */
uint64_t cgp_preamble_length(const char *p, uint64_t n);

/* The message in which UW's programs keep their data, and no mail: it has
 * X-IMAP or X-IMAPbase, comes from "Mail System Internal Data" and was never
 * received. */
bool	cgp_head_internal(int fd, uint64_t off, uint64_t len);

#endif
