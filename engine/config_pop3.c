/* The POP3 server of a job. */
#include "config_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/xmalloc.h"
#include "pop3/pop3_session.h"

int
config_pop3(const struct config *c, struct uri **up, struct err *e)
{
	const char *slash;
	char *dir;

	*up = NULL;
	if (!config_isset(c, CFG_UIDL_SERVER))
		return err_set(e, ERR_RUN, "which POP3 server? give "
		    "pop3s://{user}@HOST, or uidl-server = in the job");
	if (uri_parse(up, config_str(c, CFG_UIDL_SERVER), e) == -1)
		return -1;
	if (c->values[CFG_UIDL_SERVER].level == LEVEL_FILE && c->job != NULL &&
	    (slash = strrchr(c->job, '/')) != NULL) {
		dir = xmemdup0(c->job, (size_t)(slash - c->job));
		config_uri_at(*up, dir);
		free(dir);
	}
	if (pop3_check(*up, e) == 0)
		return 0;
	uri_free(up);
	return -1;
}
