/* Dovecot's Maildir as a target, written without a server: "dovecot:PATH". */
#ifndef DOVECOT_TARGET_H
#define DOVECOT_TARGET_H

#include "target_impl.h"

extern const struct target_ops dovecot_target;

#endif
