/* Shared by the files removal*.c only. */
#ifndef ENGINE_REMOVAL_IMPL_H
#define ENGINE_REMOVAL_IMPL_H

#include "removal.h"

/* So many of that many messages may go. */
uint64_t removal_limit(const struct lane *, uint64_t messages);

#endif
