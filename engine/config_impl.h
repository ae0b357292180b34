/* Settings, shared by the files config*.c only. */
#ifndef ENGINE_CONFIG_IMPL_H
#define ENGINE_CONFIG_IMPL_H

#include "config.h"

#define JOB_MAX_BYTES	((size_t)16 * 1024 * 1024)

/* Later ones go before earlier ones. */
enum level { LEVEL_DEFAULT, LEVEL_FILE, LEVEL_SET, LEVEL_OPTION };

struct item {
	char	*text, *where;
};

struct value {
	enum level	 level;
	struct item	*items;		/* one, but for lists */
	size_t		 n;
	uint64_t	 num;
	unsigned	 line;		/* in the job file, or 0 */
};

struct store_opt {
	char		*key, *val, *where;
	enum level	 level;
	bool		 in_force;	/* not overridden by the URI */
};

struct store {
	struct uri	*uri;
	char		*where;
	enum level	 level;
	struct store_opt *opts;
	size_t		 nopts;
	unsigned	 lanes;
};

struct config {
	struct value	 values[CFG_COUNT];
	struct store	 stores[2];
	char		*job;			/* the file, or NULL */
	char		*state, *state_dir;	/* state_dir: to be made */
};

/* Where a value comes from, while it is read. */
struct origin {
	enum level	 level;
	const char	*where;		/* "job.ini:12" */
	const char	*dir;		/* relative paths start here, or NULL */
	unsigned	 line;
};

/* config_table.c */
#define NSECTIONS	7
extern const char *const config_sections[NSECTIONS + 1];
int	 config_find_section(const char *name);	/* -1: none */
int	 config_side_of(int section);		/* -1: it is no store */
bool	 config_is_list(enum setting_type);

/* config_value.c: the number that a text stands for; complains when it stands
 * for none. */
int	 config_parse_number(const struct setting *, const char *text,
	    uint64_t *num, const char *where, struct buf *errors);

/* config.c */
size_t	 config_set_value(struct config *, enum cfg, const char *text,
	    const struct origin *, struct buf *errors);
/* Complains of a name that is in no list, with the nearest one that is. */
void	 config_unknown(struct buf *errors, const char *where,
	    const char *what, const char *name, const char *const *known);

/* config_ini.c: key = val of a section, from the file or --set; val may be
 * changed. */
size_t	 config_assign(struct config *, int section, const char *key,
	    char *val, const struct origin *, struct buf *errors);

/* config_store.c */
size_t	 config_set_store(struct config *, enum side, const char *uri,
	    const struct origin *, struct buf *errors);
size_t	 config_set_store_opt(struct config *, enum side, const char *key,
	    const char *val, const struct origin *, struct buf *errors);
size_t	 config_finish_store(struct config *, enum side, bool needed,
	    struct buf *errors);
void	 config_free_store(struct store *);
const char *config_opt_where(const struct store *, const char *key);
/* Whether the path of a store is one of a file or directory here. */
bool	 config_is_path(const struct uri *);
/* path, relative to dir if that is not NULL; in a template the braces of dir
 * are no columns.  The caller frees. */
char	*config_path_at(const char *dir, const char *path, bool template);

/* config_state.c: chooses the state file. */
void	 config_finish_state(struct config *);

#endif
