/* Base directories of CommuniGate Pro as sources: cgp_source.c tells what is
 * read. */
#ifndef CGP_SOURCE_H
#define CGP_SOURCE_H

struct source_ops;
extern const struct source_ops cgp_source;

#endif
