/* imap: and imaps: as targets. */
#ifndef IMAP_TARGET_H
#define IMAP_TARGET_H

#include "target_impl.h"

extern const struct target_ops imap_target;

#endif
