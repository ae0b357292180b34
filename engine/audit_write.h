/*
 * An audit in every format: what audit_make() has found, row by row, so that
 * memory stays flat.
 */
#ifndef ENGINE_AUDIT_WRITE_H
#define ENGINE_AUDIT_WRITE_H

#include "audit.h"
#include "config.h"
#include "json.h"

/* JSON and NDJSON are mailhaul-audit-1, by engine/schema/mailhaul-audit-1.json;
 * CSV has the differences.  -1: *e, and what was written is not whole. */
int	audit_write(struct audit *, FILE *, enum format, struct err *);

/* audit_write.c, for its neighbours: "12 missing, 3 flags"; "" nothing. */
void	audit_words(char *, size_t, const struct audit_counts *);

/* audit_json.c, audit_csv.c, audit_junit.c, audit_html.c */
int	audit_json(struct audit *, FILE *, bool lines, struct err *);
int	audit_csv(struct audit *, FILE *, struct err *);
int	audit_junit(struct audit *, FILE *, struct err *);
int	audit_html(struct audit *, FILE *, struct err *);

#endif
