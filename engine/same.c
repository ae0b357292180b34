/* Is a message at the target still the one that a row is of? */
#include "same.h"

#include <string.h>

int
same_bytes(struct lane *l, const struct digests *d, const struct msg_meta *m,
    struct err *e)
{
	struct content *content = NULL;
	struct measured md;
	int rc;

	if (source_want(l->eyes, &m, 1, e) == -1)
		return -1;
	rc = source_content(l->eyes, m, &content, e);
	if (rc == 1)
		rc = measure_content(l->measure, content, NULL, &md, e) == 0 ?
		    1 : -1;
	content_close(&content);
	if (rc == -1) {
		e->at_target = true;
		return e->scope == ERR_MESSAGE ? 0 : -1;
	}
	return rc == 1 && (memcmp(md.digests.strict, d->strict,
	    DIGEST_LEN) == 0 || memcmp(md.digests.loose, d->loose,
	    DIGEST_LEN) == 0);
}

int
same_message(struct lane *l, const struct same_as *s,
    const struct msg_meta *m, struct err *e)
{
	if (m->sha1 != NULL && s->digests.has_sha1) {
		if (memcmp(m->sha1, s->digests.sha1, SHA1_LEN) == 0 ||
		    memcmp(m->sha1, s->digests.munged, SHA1_LEN) == 0)
			return 1;
	} else if (s->size != UNKNOWN64 && s->size == m->size &&
	    s->date != NO_DATE && s->date == m->date)
		return 1;
	return same_bytes(l, &s->digests, m, e);
}
