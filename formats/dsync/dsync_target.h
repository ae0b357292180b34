/* Dovecot in any of its formats, through dsync's protocol. */
#ifndef DSYNC_TARGET_H
#define DSYNC_TARGET_H

extern const struct source_ops dsync_source;
extern const struct target_ops dsync_target;

#endif
