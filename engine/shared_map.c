/* Where accounts go that are no user's. */
#include "shared_map.h"

#include <string.h>
#include <strings.h>

/* "ACCOUNT = PLACE" in its parts; -1: *why. */
static int
parse(const char *text, char account[256], struct place *p, const char **why)
{
	const char *eq = strchr(text, '='), *end = eq, *v;

	*why = "it must be ACCOUNT = shared:/PATH, or ACCOUNT = user:NAME";
	if (eq == NULL)
		return -1;
	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (v = eq + 1; *v == ' ' || *v == '\t'; v++)
		;
	if (end == text || (size_t)(end - text) > 255)
		return -1;
	memcpy(account, text, (size_t)(end - text));
	account[end - text] = '\0';
	p->shared = strncmp(v, "shared:/", 8) == 0;
	if (!p->shared && strncmp(v, "user:", 5) != 0)
		return -1;
	v += p->shared ? 8 : 5;
	if (strlen(v) >= sizeof p->name || (*v == '\0' && !p->shared))
		return -1;
	memcpy(p->name, v, strlen(v) + 1);
	return 0;
}

int
shared_rule_check(const char *text, struct err *e)
{
	char account[256];
	const char *why;
	struct place p;

	return parse(text, account, &p, &why) == -1 ?
	    err_set(e, ERR_RUN, "%s", why) : 0;
}

bool
shared_place(const struct config *c, const char *user, struct place *out)
{
	size_t local = strcspn(user, "@");
	char account[256];
	const char *why;

	for (size_t i = 0; i < config_list(c, CFG_SHARED); i++) {
		if (parse(config_item(c, CFG_SHARED, i), account, out, &why) ==
		    -1)
			continue;	/* was checked */
		if (strcasecmp(account, user) != 0 && (strchr(account, '@') !=
		    NULL || strlen(account) != local || strncasecmp(account,
		    user, local) != 0))
			continue;
		if (out->shared && out->name[0] == '\0' &&
		    local < sizeof out->name) {
			memcpy(out->name, user, local);
			out->name[local] = '\0';
		}
		return true;
	}
	return false;
}
