/*
 * "cyrus:" read: audits, looks at what a target holds, and as a source.
 *
 * Options as for the target.  A mailbox is listed with its flags, dates, sizes
 * and the SHA-1 of each message from Cyrus' index; only bytes that are asked
 * for are read.
 */
#ifndef CYRUS_SOURCE_H
#define CYRUS_SOURCE_H

#include "source_impl.h"

extern const struct source_ops cyrus_source;

#endif
