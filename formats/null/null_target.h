/*
 * The target "null:": reads everything, counts, keeps nothing.  For measuring
 * readers and for dry runs.
 */
#ifndef NULL_TARGET_H
#define NULL_TARGET_H

#include "target_impl.h"

extern const struct target_ops null_target;

#endif
