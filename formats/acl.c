/* Letters of access rights. */
#include "acl.h"

#include <stddef.h>
#include <string.h>

static const char order[] = "lrswipkxtea";

struct set {
	bool	 has[sizeof order];
	char	 others[ACL_MAX];	/* letters of the server's own */
	size_t	 n;
};

/* What a letter of either kind means, in letters of RFC 4314. */
static const char *
meaning(char letter, char one[2])
{
	if (letter == 'c')
		return "kx";
	if (letter == 'd')
		return "te";
	one[0] = letter;
	one[1] = '\0';
	return one;
}

static void
put(struct set *s, const char *letters)
{
	const char *p;

	for (; *letters != '\0'; letters++)
		if ((p = strchr(order, *letters)) != NULL)
			s->has[p - order] = true;
		else if (s->n < sizeof s->others - sizeof order &&
		    memchr(s->others, *letters, s->n) == NULL)
			s->others[s->n++] = *letters;
}

static void
write_set(const struct set *s, char out[ACL_MAX])
{
	size_t n = 0;

	for (size_t i = 0; order[i] != '\0'; i++)
		if (s->has[i])
			out[n++] = order[i];
	for (size_t i = 0; i < s->n; i++)
		out[n++] = s->others[i];
	out[n] = '\0';
}

void
acl_rights(const char *letters, char out[ACL_MAX])
{
	struct set s = { .n = 0 };
	char one[2];

	for (; *letters != '\0'; letters++)
		put(&s, meaning(*letters, one));
	out[0] = '\0';
	if (s.n == 0)
		write_set(&s, out);
}

void
acl_told(const char *letters, bool newer, char out[ACL_MAX])
{
	struct set s = { .n = 0 };
	char one[2];

	for (; *letters != '\0'; letters++)
		if (!newer || (*letters != 'c' && *letters != 'd'))
			put(&s, meaning(*letters, one));
	write_set(&s, out);
}

void
acl_older(const char *rights, char out[ACL_MAX])
{
	static const char older[] = "lrswipcda";
	bool has[sizeof older] = { false };
	const char *p;
	size_t n = 0;

	for (; *rights != '\0'; rights++) {
		char c = strchr("kx", *rights) != NULL ? 'c' :
		    strchr("te", *rights) != NULL ? 'd' : *rights;

		if ((p = strchr(older, c)) != NULL)
			has[p - older] = true;
	}
	for (size_t i = 0; older[i] != '\0'; i++)
		if (has[i])
			out[n++] = older[i];
	out[n] = '\0';
}
