/* Rules for mailboxes and messages; the texts are described in rules.h. */
#include "rules.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/xmalloc.h"

#define NAME_MAX_BYTES	((size_t)16 * 1024)	/* of a result of a rule */
#define REGEX_GROUPS	10

enum map_kind { MAP_EXACT, MAP_PREFIX, MAP_REGEX };

struct map {
	enum map_kind	 kind;
	char		*text;		/* the rule as written */
	char		*from, *to;	/* without the last '/' of a prefix */
	regex_t		 re;
};

struct pattern {
	char		*text;		/* "exclude \Trash" */
	char		*glob;
	unsigned	 use;		/* not 0: by role */
};

struct special {
	char		*name;
	unsigned	 use;
};

struct rules {
	struct map	*maps;
	struct pattern	*includes, *excludes;
	struct special	*specials;
	size_t		 nmaps, nincludes, nexcludes, nspecials;
	enum special_use_mode special_use;
	enum inbox_children inbox_children;
	int64_t		 newer, older;		/* NO_DATE: no rule */
	uint64_t	 max_size;		/* UNKNOWN64: no rule */
	bool		 skip_deleted;
	char		*newer_text, *older_text, *max_size_text;
};

static const struct { const char *word; unsigned use; } words[] = {
	{ "\\All", USE_ALL }, { "\\Archive", USE_ARCHIVE },
	{ "\\Drafts", USE_DRAFTS }, { "\\Flagged", USE_FLAGGED },
	{ "\\Junk", USE_JUNK }, { "\\Sent", USE_SENT },
	{ "\\Trash", USE_TRASH }
};
#define NWORDS (sizeof words / sizeof words[0])

/* Top-level names that mail programs use, language by language.  A name stands
 * here once; what two languages use for different things is left out. */
const struct use_name use_names[] = {
	/* English, and the names of Pine, Mutt and Outlook */
	{ "Sent", USE_SENT }, { "Sent Items", USE_SENT },
	{ "Sent Messages", USE_SENT }, { "Sent Mail", USE_SENT },
	{ "sent-mail", USE_SENT }, { "sent", USE_SENT },
	{ "Drafts", USE_DRAFTS }, { "Draft", USE_DRAFTS },
	{ "drafts", USE_DRAFTS }, { "postponed-msgs", USE_DRAFTS },
	{ "postponed", USE_DRAFTS },
	{ "Trash", USE_TRASH }, { "trash", USE_TRASH },
	{ "Deleted Items", USE_TRASH }, { "Deleted Messages", USE_TRASH },
	{ "Deleted", USE_TRASH }, { "Bin", USE_TRASH },
	{ "Junk", USE_JUNK }, { "Spam", USE_JUNK }, { "spam", USE_JUNK },
	{ "Junk E-mail", USE_JUNK }, { "Junk Email", USE_JUNK },
	{ "Junk Mail", USE_JUNK }, { "Bulk Mail", USE_JUNK },
	{ "Archive", USE_ARCHIVE }, { "Archives", USE_ARCHIVE },
	/* German */
	{ "Gesendet", USE_SENT }, { "Gesendete Objekte", USE_SENT },
	{ "Gesendete Elemente", USE_SENT },
	{ "Gesendete Nachrichten", USE_SENT },
	{ "Entwürfe", USE_DRAFTS },
	{ "Papierkorb", USE_TRASH }, { "Gelöscht", USE_TRASH },
	{ "Gelöschte Objekte", USE_TRASH },
	{ "Gelöschte Elemente", USE_TRASH },
	{ "Gelöschte Nachrichten", USE_TRASH },
	{ "Junk-E-Mail", USE_JUNK }, { "Spamverdacht", USE_JUNK },
	{ "Unerwünscht", USE_JUNK }, { "Archiv", USE_ARCHIVE },
	/* French */
	{ "Envoyés", USE_SENT }, { "Éléments envoyés", USE_SENT },
	{ "Messages envoyés", USE_SENT }, { "Objets envoyés", USE_SENT },
	{ "Courrier envoyé", USE_SENT }, { "Brouillons", USE_DRAFTS },
	{ "Corbeille", USE_TRASH }, { "Éléments supprimés", USE_TRASH },
	{ "Messages supprimés", USE_TRASH }, { "Poubelle", USE_TRASH },
	{ "Courrier indésirable", USE_JUNK }, { "Indésirables", USE_JUNK },
	{ "Pourriel", USE_JUNK }, { "Pourriels", USE_JUNK },
	/* Spanish */
	{ "Enviados", USE_SENT }, { "Elementos enviados", USE_SENT },
	{ "Mensajes enviados", USE_SENT }, { "Correo enviado", USE_SENT },
	{ "Borradores", USE_DRAFTS },
	{ "Papelera", USE_TRASH }, { "Elementos eliminados", USE_TRASH },
	{ "Mensajes eliminados", USE_TRASH }, { "Eliminados", USE_TRASH },
	{ "Correo no deseado", USE_JUNK }, { "No deseado", USE_JUNK },
	{ "Correo basura", USE_JUNK }, { "Archivo", USE_ARCHIVE },
	/* Italian */
	{ "Posta inviata", USE_SENT }, { "Inviata", USE_SENT },
	{ "Inviati", USE_SENT }, { "Elementi inviati", USE_SENT },
	{ "Messaggi inviati", USE_SENT }, { "Bozze", USE_DRAFTS },
	{ "Cestino", USE_TRASH }, { "Posta eliminata", USE_TRASH },
	{ "Elementi eliminati", USE_TRASH }, { "Eliminata", USE_TRASH },
	{ "Posta indesiderata", USE_JUNK }, { "Indesiderata", USE_JUNK },
	{ "Archivio", USE_ARCHIVE },
	/* Dutch */
	{ "Verzonden", USE_SENT }, { "Verzonden items", USE_SENT },
	{ "Verzonden berichten", USE_SENT }, { "Concepten", USE_DRAFTS },
	{ "Prullenbak", USE_TRASH }, { "Prullenmand", USE_TRASH },
	{ "Verwijderde items", USE_TRASH },
	{ "Verwijderde berichten", USE_TRASH },
	{ "Ongewenste e-mail", USE_JUNK }, { "Ongewenst", USE_JUNK },
	{ "Archief", USE_ARCHIVE },
	/* Portuguese */
	{ "Itens enviados", USE_SENT }, { "Itens Enviados", USE_SENT },
	{ "Mensagens enviadas", USE_SENT }, { "Enviadas", USE_SENT },
	{ "Rascunhos", USE_DRAFTS },
	{ "Lixeira", USE_TRASH }, { "Itens excluídos", USE_TRASH },
	{ "Itens Excluídos", USE_TRASH }, { "Itens eliminados", USE_TRASH },
	{ "Itens Eliminados", USE_TRASH },
	{ "Mensagens excluídas", USE_TRASH }, { "Excluídos", USE_TRASH },
	{ "Lixo eletrônico", USE_JUNK }, { "Lixo Eletrônico", USE_JUNK },
	{ "Lixo eletrónico", USE_JUNK }, { "Arquivo", USE_ARCHIVE },
	{ "Arquivo Morto", USE_ARCHIVE },
	/* Polish */
	{ "Wysłane", USE_SENT }, { "Elementy wysłane", USE_SENT },
	{ "Wiadomości wysłane", USE_SENT },
	{ "Szkice", USE_DRAFTS }, { "Kopie robocze", USE_DRAFTS },
	{ "Wersje robocze", USE_DRAFTS }, { "Robocze", USE_DRAFTS },
	{ "Kosz", USE_TRASH }, { "Elementy usunięte", USE_TRASH },
	{ "Usunięte", USE_TRASH }, { "Niechciane", USE_JUNK },
	{ "Wiadomości-śmieci", USE_JUNK }, { "Archiwum", USE_ARCHIVE },
	/* Swedish, Danish, Norwegian */
	{ "Skickat", USE_SENT }, { "Skickade", USE_SENT },
	{ "Skickade objekt", USE_SENT }, { "Skickade meddelanden", USE_SENT },
	{ "Sendt", USE_SENT }, { "Sendte", USE_SENT },
	{ "Sendt post", USE_SENT }, { "Sendte elementer", USE_SENT },
	{ "Utkast", USE_DRAFTS }, { "Kladder", USE_DRAFTS },
	{ "Udkast", USE_DRAFTS }, { "Kladd", USE_DRAFTS },
	{ "Papperskorg", USE_TRASH }, { "Papperskorgen", USE_TRASH },
	{ "Borttaget", USE_TRASH }, { "Borttagna objekt", USE_TRASH },
	{ "Papirkurv", USE_TRASH }, { "Slettet", USE_TRASH },
	{ "Slettet post", USE_TRASH }, { "Slettede elementer", USE_TRASH },
	{ "Skräppost", USE_JUNK }, { "Uønsket post", USE_JUNK },
	{ "Uønsket mail", USE_JUNK }, { "Uønsket e-mail", USE_JUNK },
	{ "Uønsket e-post", USE_JUNK }, { "Søppelpost", USE_JUNK },
	{ "Arkiv", USE_ARCHIVE },
	/* Finnish */
	{ "Lähetetyt", USE_SENT }, { "Lähetetyt kohteet", USE_SENT },
	{ "Lähetetyt viestit", USE_SENT }, { "Luonnokset", USE_DRAFTS },
	{ "Roskakori", USE_TRASH }, { "Poistetut", USE_TRASH },
	{ "Poistetut kohteet", USE_TRASH },
	{ "Poistetut viestit", USE_TRASH }, { "Roskaposti", USE_JUNK },
	{ "Arkisto", USE_ARCHIVE }, { "Arkistot", USE_ARCHIVE },
	/* Czech */
	{ "Odeslané", USE_SENT }, { "Odeslaná pošta", USE_SENT },
	{ "Odeslané zprávy", USE_SENT }, { "Koncepty", USE_DRAFTS },
	{ "Rozepsané", USE_DRAFTS }, { "Koš", USE_TRASH },
	{ "Odstraněná pošta", USE_TRASH }, { "Odstraněné", USE_TRASH },
	{ "Nevyžádaná pošta", USE_JUNK }, { "Nevyžádané", USE_JUNK },
	{ "Archivy", USE_ARCHIVE },
	/* Hungarian */
	{ "Elküldött", USE_SENT }, { "Elküldött elemek", USE_SENT },
	{ "Elküldött üzenetek", USE_SENT },
	{ "Elküldött levelek", USE_SENT }, { "Piszkozatok", USE_DRAFTS },
	{ "Vázlatok", USE_DRAFTS }, { "Kuka", USE_TRASH },
	{ "Lomtár", USE_TRASH }, { "Törölt elemek", USE_TRASH },
	{ "Törölt üzenetek", USE_TRASH }, { "Levélszemét", USE_JUNK },
	{ "Archívum", USE_ARCHIVE },
	/* Russian */
	{ "Отправленные", USE_SENT }, { "Отправленные сообщения", USE_SENT },
	{ "Отправленные элементы", USE_SENT }, { "Черновики", USE_DRAFTS },
	{ "Корзина", USE_TRASH }, { "Удалённые", USE_TRASH },
	{ "Удаленные", USE_TRASH }, { "Удаленные элементы", USE_TRASH },
	{ "Спам", USE_JUNK }, { "Нежелательная почта", USE_JUNK },
	{ "Архив", USE_ARCHIVE }, { "Архивы", USE_ARCHIVE },
	/* Ukrainian */
	{ "Надіслані", USE_SENT }, { "Відправлені", USE_SENT },
	{ "Чернетки", USE_DRAFTS }, { "Кошик", USE_TRASH },
	{ "Смітник", USE_TRASH }, { "Видалені", USE_TRASH },
	{ "Небажана пошта", USE_JUNK }, { "Архів", USE_ARCHIVE },
	/* Greek */
	{ "Απεσταλμένα", USE_SENT }, { "Απεσταλμένα στοιχεία", USE_SENT },
	{ "Πρόχειρα", USE_DRAFTS }, { "Κάδος απορριμμάτων", USE_TRASH },
	{ "Κάδος", USE_TRASH }, { "Διαγραμμένα", USE_TRASH },
	{ "Διαγραμμένα στοιχεία", USE_TRASH },
	{ "Ανεπιθύμητη αλληλογραφία", USE_JUNK },
	{ "Ανεπιθύμητα", USE_JUNK }, { "Αρχειοθήκη", USE_ARCHIVE },
	/* Turkish */
	{ "Gönderilmiş Öğeler", USE_SENT }, { "Gönderilenler", USE_SENT },
	{ "Gönderilmiş", USE_SENT }, { "Taslaklar", USE_DRAFTS },
	{ "Çöp", USE_TRASH }, { "Çöp Kutusu", USE_TRASH },
	{ "Silinmiş Öğeler", USE_TRASH }, { "Silinenler", USE_TRASH },
	{ "Önemsiz", USE_JUNK }, { "Önemsiz E-posta", USE_JUNK },
	{ "İstenmeyen", USE_JUNK }, { "Arşiv", USE_ARCHIVE },
	{ "Arşivler", USE_ARCHIVE },
	/* Japanese */
	{ "送信済み", USE_SENT }, { "送信済みトレイ", USE_SENT },
	{ "送信済みアイテム", USE_SENT }, { "送信済みメール", USE_SENT },
	{ "送信済みメッセージ", USE_SENT }, { "下書き", USE_DRAFTS },
	{ "ごみ箱", USE_TRASH }, { "ゴミ箱", USE_TRASH },
	{ "削除済みアイテム", USE_TRASH },
	{ "削除済みメッセージ", USE_TRASH }, { "迷惑メール", USE_JUNK },
	{ "アーカイブ", USE_ARCHIVE },
	/* Chinese, simplified and traditional */
	{ "已发送", USE_SENT }, { "已发送邮件", USE_SENT },
	{ "已发邮件", USE_SENT }, { "寄件備份", USE_SENT },
	{ "寄件備份匣", USE_SENT }, { "草稿", USE_DRAFTS },
	{ "草稿箱", USE_DRAFTS }, { "已删除", USE_TRASH },
	{ "已删除邮件", USE_TRASH }, { "废件箱", USE_TRASH },
	{ "废纸篓", USE_TRASH }, { "刪除的郵件", USE_TRASH },
	{ "垃圾桶", USE_TRASH }, { "垃圾邮件", USE_JUNK },
	{ "垃圾郵件", USE_JUNK }, { "存档", USE_ARCHIVE },
	{ "归档", USE_ARCHIVE }, { "封存", USE_ARCHIVE },
	/* Korean */
	{ "보낸 편지함", USE_SENT }, { "보낸편지함", USE_SENT },
	{ "보낸 메일함", USE_SENT }, { "보낸메일함", USE_SENT },
	{ "임시 보관함", USE_DRAFTS }, { "임시보관함", USE_DRAFTS },
	{ "지운 편지함", USE_TRASH }, { "휴지통", USE_TRASH },
	{ "정크 메일", USE_JUNK }, { "스팸", USE_JUNK },
	{ "스팸메일함", USE_JUNK }, { "보관함", USE_ARCHIVE },
	{ NULL, 0 }
};

const char *
use_word(unsigned use)
{
	size_t i;

	for (i = 0; i < NWORDS; i++)
		if (words[i].use == use)
			return words[i].word;
	return "";
}

unsigned
use_of_word(const char *word)
{
	size_t i;

	while (*word == '\\')
		word++;
	for (i = 0; i < NWORDS; i++)
		if (strcasecmp(words[i].word + 1, word) == 0)
			return words[i].use;
	return 0;
}

struct rules *
rules_new(void)
{
	struct rules *r = xcalloc(1, sizeof *r);

	r->newer = r->older = NO_DATE;
	r->max_size = UNKNOWN64;
	return r;
}

static void
free_patterns(struct pattern *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(p[i].text);
		free(p[i].glob);
	}
	free(p);
}

void
rules_free(struct rules **rp)
{
	struct rules *r = *rp;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->nmaps; i++) {
		if (r->maps[i].kind == MAP_REGEX)
			regfree(&r->maps[i].re);
		free(r->maps[i].text);
		free(r->maps[i].from);
		free(r->maps[i].to);
	}
	free(r->maps);
	free_patterns(r->includes, r->nincludes);
	free_patterns(r->excludes, r->nexcludes);
	for (i = 0; i < r->nspecials; i++)
		free(r->specials[i].name);
	free(r->specials);
	free(r->newer_text);
	free(r->older_text);
	free(r->max_size_text);
	free(r);
	*rp = NULL;
}

/* Reading rules */

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/*
 * One side of "left -> right" from *p on, for the caller to free; *p then
 * stands behind it and its blanks.  Quoted with \" and \\, or as it is up to
 * the arrow (left) or the end.
 */
static char *
side(const char **p, bool left, struct err *e)
{
	const char *end;
	struct buf b;

	if (**p != '"') {
		end = left ? strstr(*p, "->") : *p + strlen(*p);
		if (end == NULL)
			end = *p + strlen(*p);
		while (end > *p && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		buf_init(&b, NAME_MAX_BYTES);
		buf_add(&b, *p, (size_t)(end - *p));
		*p = skip_blanks(end);
	} else {
		buf_init(&b, NAME_MAX_BYTES);
		for (++*p; **p != '"'; ++*p) {
			if (**p == '\0') {
				err_set(e, ERR_RUN,
				    "a '\"' that is not closed");
				buf_release(&b);
				return NULL;
			}
			if (**p == '\\' && ((*p)[1] == '"' || (*p)[1] == '\\'))
				++*p;
			buf_addc(&b, **p);
		}
		*p = skip_blanks(*p + 1);
	}
	if (b.full) {
		err_set(e, ERR_RUN, "a name of more than %zu bytes",
		    NAME_MAX_BYTES);
		buf_release(&b);
		return NULL;
	}
	return buf_detach(&b, NULL);
}

/* "left -> right"; both for the caller to free. */
static int
sides(const char *p, char **left, char **right, struct err *e)
{
	*left = *right = NULL;
	if ((*left = side(&p, true, e)) == NULL)
		return -1;
	if (strncmp(p, "->", 2) != 0)
		err_set(e, ERR_RUN, "this is written \"OLD\" -> \"NEW\"");
	else {
		p = skip_blanks(p + 2);
		if (*p == '\0')
			err_set(e, ERR_RUN, "nothing after the \"->\"");
		else if ((*right = side(&p, false, e)) != NULL && *p == '\0')
			return 0;
		else if (*right != NULL)
			err_set(e, ERR_RUN,
			    "'%.40s' after the closing '\"'", p);
	}
	free(*left);
	free(*right);
	*left = *right = NULL;
	return -1;
}

static int
check_levels(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (name[0] == '/' || strstr(name, "//") != NULL ||
	    (n > 0 && name[n - 1] == '/'))
		return err_set(e, ERR_RUN, "an empty level in the name "
		    "'%.80s'", name);
	return 0;
}

/* Cuts one '/' off the end: 1, or 0 when there is none. */
static bool
cut_slash(char *name)
{
	size_t n = strlen(name);

	if (n == 0 || name[n - 1] != '/')
		return false;
	name[n - 1] = '\0';
	return true;
}

static int
check_groups(const char *to, size_t groups, struct err *e)
{
	for (; *to != '\0'; to++)
		if (*to == '\\') {
			if (to[1] >= '1' && to[1] <= '9' &&
			    (size_t)(to[1] - '0') > groups)
				return err_set(e, ERR_RUN, "\\%c, but the "
				    "expression has %zu groups", to[1],
				    groups);
			if (to[1] != '\0')
				to++;
		}
	return 0;
}

static int
make_map(struct map *m, bool regex, struct err *e)
{
	char why[128];
	bool from_all, to_all;
	int rc;

	if (regex) {
		m->kind = MAP_REGEX;
		if ((rc = regcomp(&m->re, m->from, REG_EXTENDED)) != 0) {
			regerror(rc, &m->re, why, sizeof why);
			m->kind = MAP_EXACT;	/* nothing to free */
			return err_set(e, ERR_RUN, "'%.80s': %s", m->from,
			    why);
		}
		return check_groups(m->to, m->re.re_nsub, e);
	}
	from_all = cut_slash(m->from);
	to_all = m->to[0] == '\0' || cut_slash(m->to);
	m->kind = from_all ? MAP_PREFIX : MAP_EXACT;
	if (!from_all && m->from[0] == '\0')
		return err_set(e, ERR_RUN, "no name before the \"->\"");
	if (from_all != to_all)
		return err_set(e, ERR_RUN, "both names end in '/' (a mailbox "
		    "and everything below it), or none does");
	if (check_levels(m->from, e) == -1)
		return -1;
	return check_levels(m->to, e);
}

int
rules_add_map(struct rules *r, const char *text, struct err *e)
{
	struct map m;
	const char *p;
	bool regex;

	memset(&m, 0, sizeof m);
	p = skip_blanks(text);
	if ((regex = *p == '~'))
		p = skip_blanks(p + 1);
	if (sides(p, &m.from, &m.to, e) == -1)
		return -1;
	if (make_map(&m, regex, e) == -1) {
		if (m.kind == MAP_REGEX)
			regfree(&m.re);
		free(m.from);
		free(m.to);
		return -1;
	}
	m.text = xstrdup(text);
	r->maps = xreallocarray(r->maps, r->nmaps + 1, sizeof *r->maps);
	r->maps[r->nmaps++] = m;
	return 0;
}

static int
unknown_use(const char *word, struct err *e)
{
	return err_set(e, ERR_RUN, "'%.40s' is no special use; there are "
	    "\\All \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash", word);
}

static int
add_pattern(struct pattern **list, size_t *n, const char *what,
    const char *text, struct err *e)
{
	struct pattern p;
	struct buf b;

	p.use = 0;
	if (text[0] == '\0')
		return err_set(e, ERR_RUN, "an empty name");
	if (text[0] == '\\' && (p.use = use_of_word(text)) == 0)
		return unknown_use(text, e);
	buf_init(&b, SIZE_MAX / 4);
	buf_addf(&b, "%s %s", what, p.use != 0 ? use_word(p.use) : text);
	p.text = buf_detach(&b, NULL);
	p.glob = xstrdup(text);
	*list = xreallocarray(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = p;
	return 0;
}

int
rules_add_include(struct rules *r, const char *text, struct err *e)
{
	return add_pattern(&r->includes, &r->nincludes, "include", text, e);
}

int
rules_add_exclude(struct rules *r, const char *text, struct err *e)
{
	return add_pattern(&r->excludes, &r->nexcludes, "exclude", text, e);
}

int
rules_add_special(struct rules *r, const char *text, struct err *e)
{
	char *name, *word;
	unsigned use = 0;

	if (sides(skip_blanks(text), &name, &word, e) == -1)
		return -1;
	if (strcmp(word, "none") != 0 && (use = use_of_word(word)) == 0) {
		unknown_use(word, e);
		free(name);
		free(word);
		return -1;
	}
	free(word);
	r->specials = xreallocarray(r->specials, r->nspecials + 1,
	    sizeof *r->specials);
	r->specials[r->nspecials].name = name;
	r->specials[r->nspecials++].use = use;
	return 0;
}

void
rules_set_special_use(struct rules *r, enum special_use_mode mode)
{
	r->special_use = mode;
}

void
rules_set_inbox_children(struct rules *r, enum inbox_children mode)
{
	r->inbox_children = mode;
}

static void
set_text(char **where, const char *text)
{
	free(*where);
	*where = xstrdup(text);
}

void
rules_set_newer(struct rules *r, int64_t epoch, const char *text)
{
	r->newer = epoch;
	set_text(&r->newer_text, text);
}

void
rules_set_older(struct rules *r, int64_t epoch, const char *text)
{
	r->older = epoch;
	set_text(&r->older_text, text);
}

void
rules_set_max_size(struct rules *r, uint64_t bytes, const char *text)
{
	r->max_size = bytes;
	set_text(&r->max_size_text, text);
}

void
rules_set_skip_deleted(struct rules *r, bool skip)
{
	r->skip_deleted = skip;
}

/* Names */

static bool
is_inbox(const char *level)
{
	return strcasecmp(level, "INBOX") == 0;
}

/* Whether len bytes of name are this level, the first one of a path if so. */
static bool
same_level(const char *level, const char *name, size_t len, bool first)
{
	if (strlen(level) != len)
		return false;
	return memcmp(level, name, len) == 0 ||
	    (first && is_inbox(level) && strncasecmp(level, name, len) == 0);
}

/* How many levels of path the name "A/B" covers; 0: it does not fit.  A level
 * that holds a '/' itself fits as plan shows it. */
static size_t
levels_covered(const char *name, const char *const *path, size_t npath)
{
	size_t i, len;

	for (i = 0; i < npath; i++) {
		len = strlen(path[i]);
		if (strlen(name) < len || !same_level(path[i], name, len,
		    i == 0))
			return 0;
		name += len;
		if (*name == '\0')
			return i + 1;
		if (*name++ != '/')
			return 0;
	}
	return 0;
}

static size_t
utf8_step(const char *p)
{
	size_t n = 1;

	while (((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static bool
glob(const char *pat, const char *s)
{
	const char *star = NULL, *again = NULL;

	for (;;) {
		if (*pat == '*') {
			star = ++pat;
			again = s;
			continue;
		}
		if (*s == '\0' && *pat == '\0')
			return true;
		if (*s != '\0' && *pat == '?') {
			pat++;
			s += utf8_step(s);
			continue;
		}
		if (*s != '\0' && *pat != '\0') {
			const char *lit = pat;

			if (*lit == '\\' && lit[1] != '\0')
				lit++;
			if (*lit == *s) {
				pat = lit + 1;
				s++;
				continue;
			}
		}
		if (star == NULL || *again == '\0')
			return false;
		pat = star;
		s = ++again;
	}
}

static char *
join(struct arena *a, const char *const *path, size_t n)
{
	size_t i, len = 0;
	char *name, *p;

	for (i = 0; i < n; i++)
		len += strlen(path[i]) + 1;
	p = name = arena_alloc(a, len + 1);
	for (i = 0; i < n; i++) {
		len = strlen(path[i]);
		if (i > 0)
			*p++ = '/';
		memcpy(p, path[i], len);
		p += len;
	}
	*p = '\0';
	if (n > 0 && is_inbox(path[0]))
		memcpy(name, "INBOX", 5);
	return name;
}

/* Whether the pattern names this mailbox or one above it. */
static bool
pattern_fits(const struct pattern *p, struct arena *a,
    const struct folder_info *f)
{
	size_t i;

	if (p->use != 0)
		return false;
	if (levels_covered(p->glob, f->path, f->npath) > 0)
		return true;
	if (strpbrk(p->glob, "*?\\") == NULL)
		return false;
	for (i = 1; i <= f->npath; i++)
		if (glob(p->glob, join(a, f->path, i)))
			return true;
	return false;
}

static bool
is_below(const struct folder_info *f, const struct folder_info *top)
{
	size_t i;

	if (f->npath < top->npath)
		return false;
	for (i = 0; i < top->npath; i++)
		if (strcmp(f->path[i], top->path[i]) != 0 &&
		    !(i == 0 && is_inbox(f->path[0]) &&
		    is_inbox(top->path[0])))
			return false;
	return true;
}

/* Special uses */

unsigned
rules_use_of_name(const struct rules *r, const char *const *path, size_t npath)
{
	const struct use_name *u;
	size_t i;

	if (npath != 1)
		return 0;
	for (i = r->nspecials; i-- > 0; )
		if (strcmp(r->specials[i].name, path[0]) == 0)
			return r->specials[i].use;
	for (u = use_names; u->name != NULL; u++)
		if (strcmp(u->name, path[0]) == 0)
			return u->use;
	return 0;
}

static uint64_t
messages(const struct folder_info *f)
{
	return f->messages == UNKNOWN64 ? 0 : f->messages;
}

/* Gives each special use to one mailbox at most; out[].excluded is set for
 * those that do not come into question. */
static void
choose_uses(const struct rules *r, const struct folder_info *f, size_t n,
    const int64_t *newest, struct rule_result *out)
{
	size_t i, w, best;
	bool marked, best_marked;

	for (w = 0; w < NWORDS; w++) {
		unsigned use = words[w].use;

		best = n;
		best_marked = false;
		for (i = 0; i < n; i++) {
			if (f[i].noselect || f[i].refused != NULL ||
			    f[i].class != FOLDER_MAIL ||
			    out[i].excluded != NULL || (f[i].npath == 1 &&
			    is_inbox(f[i].path[0])))
				continue;
			marked = (f[i].special_use & use) != 0;
			if (!marked && rules_use_of_name(r, f[i].path,
			    f[i].npath) != use)
				continue;
			out[i].candidate |= use;
			if (best < n) {
				if (best_marked != marked) {
					if (best_marked)
						continue;
				} else if (newest != NULL &&
				    newest[i] != newest[best]) {
					if (newest[i] < newest[best])
						continue;
				} else if (messages(&f[i]) <=
				    messages(&f[best]))
					continue;
			}
			best = i;
			best_marked = marked;
		}
		if (best < n)
			out[best].use |= use;
	}
}

/* Target names */

/* name split at '/', empty levels left out. */
static void
split(struct arena *a, const char *name, struct rule_result *out)
{
	const char **path, *p, *q;
	size_t n = 1;

	for (p = name; *p != '\0'; p++)
		n += *p == '/';
	path = arena_alloc(a, n * sizeof *path);
	n = 0;
	for (p = name; ; p = q + 1) {
		q = p + strcspn(p, "/");
		if (q > p)
			path[n++] = arena_memdup0(a, p, (size_t)(q - p));
		if (*q == '\0')
			break;
	}
	if (n > 0 && is_inbox(path[0]))
		path[0] = "INBOX";
	out->path = path;
	out->npath = n;
}

/* The levels of name, then path[from..npath). */
static void
graft(struct arena *a, const char *name, const char *const *path, size_t from,
    size_t npath, struct rule_result *out)
{
	const char **all;
	size_t n;

	split(a, name, out);
	n = out->npath;
	if (from == npath)
		return;
	all = arena_alloc(a, (n + npath - from) * sizeof *all);
	if (n > 0)
		memcpy(all, out->path, n * sizeof *all);
	memcpy(all + n, path + from, (npath - from) * sizeof *all);
	out->path = all;
	out->npath = n + npath - from;
}

static bool
map_regex(const struct map *m, struct arena *a, const char *name,
    struct rule_result *out)
{
	regmatch_t g[REGEX_GROUPS];
	const char *p;
	struct buf b;
	size_t len = strlen(name);

	if (len > NAME_MAX_BYTES ||
	    regexec(&m->re, name, REGEX_GROUPS, g, 0) != 0 ||
	    g[0].rm_so != 0 || (size_t)g[0].rm_eo != len)
		return false;
	buf_init(&b, 4 * NAME_MAX_BYTES);
	for (p = m->to; *p != '\0'; p++) {
		if (*p != '\\' || p[1] == '\0')
			buf_addc(&b, *p);
		else if (*++p >= '1' && *p <= '9') {
			const regmatch_t *s = &g[*p - '0'];

			if (s->rm_so != -1)
				buf_add(&b, name + s->rm_so,
				    (size_t)(s->rm_eo - s->rm_so));
		} else
			buf_addc(&b, *p);
	}
	if (!b.full)
		split(a, b.ptr, out);
	else
		out->npath = 0;
	buf_release(&b);
	return true;
}

static bool
map_fits(const struct map *m, struct arena *a, const struct folder_info *f,
    struct rule_result *out)
{
	size_t n;

	switch (m->kind) {
	case MAP_EXACT:
		if (levels_covered(m->from, f->path, f->npath) != f->npath)
			return false;
		split(a, m->to, out);
		return true;
	case MAP_PREFIX:
		n = 0;
		if (m->from[0] != '\0' &&
		    (n = levels_covered(m->from, f->path, f->npath)) == 0)
			return false;
		graft(a, m->to, f->path, n, f->npath, out);
		return true;
	case MAP_REGEX:
		return map_regex(m, a, join(a, f->path, f->npath), out);
	}
	return false;
}

static void
name_it(const struct rules *r, struct arena *a, const struct folder_info *f,
    struct rule_result *out)
{
	size_t i;

	for (i = 0; i < r->nmaps; i++)
		/* A rule that leaves nothing of a name does not fit it. */
		if (map_fits(&r->maps[i], a, f, out) && out->npath > 0) {
			out->mapped = r->maps[i].text;
			return;
		}
	out->path = f->path;
	out->npath = f->npath;
	if (r->special_use == SPECIAL_RENAME && out->use != 0) {
		for (i = 0; (out->use & words[i].use) == 0; i++)
			;
		split(a, words[i].word + 1, out);
		out->mapped = "special-use rename";
	} else if (r->inbox_children == INBOX_TOP && f->npath > 1 &&
	    is_inbox(f->path[0])) {
		out->path++;
		out->npath--;
		out->mapped = "inbox-children top";
	}
}

static const char *
excluded_by(const struct pattern *p, size_t n, struct arena *a,
    const struct folder_info *f)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (pattern_fits(&p[i], a, f))
			return p[i].text;
	return NULL;
}

/* The same by role: f[i] has the use, or lies below a mailbox that has it. */
static const char *
excluded_by_use(const struct pattern *p, size_t np,
    const struct folder_info *f, size_t i, const size_t *used, size_t nused,
    const struct rule_result *out)
{
	size_t k, u;

	for (k = 0; k < np; k++)
		for (u = 0; p[k].use != 0 && u < nused; u++)
			if ((out[used[u]].use & p[k].use) != 0 &&
			    is_below(&f[i], &f[used[u]]))
				return p[k].text;
	return NULL;
}

void
rules_apply(const struct rules *r, struct arena *a,
    const struct folder_info *f, size_t n, const int64_t *newest,
    struct rule_result *out)
{
	size_t used[NWORDS], nused = 0, i;

	memset(out, 0, n * sizeof *out);
	/* What a name rule leaves out takes no mark away from another. */
	for (i = 0; i < n; i++)
		out[i].excluded = excluded_by(r->excludes, r->nexcludes, a,
		    &f[i]);
	choose_uses(r, f, n, newest, out);
	for (i = 0; i < n; i++)
		if (out[i].use != 0)
			used[nused++] = i;
	for (i = 0; i < n; i++) {
		if (out[i].excluded == NULL)
			out[i].excluded = excluded_by_use(r->excludes,
			    r->nexcludes, f, i, used, nused, out);
		if (out[i].excluded == NULL && r->nincludes > 0 &&
		    excluded_by(r->includes, r->nincludes, a, &f[i]) == NULL &&
		    excluded_by_use(r->includes, r->nincludes, f, i, used,
		    nused, out) == NULL)
			out[i].excluded = "include (not in the list)";
		name_it(r, a, &f[i], &out[i]);
	}
	for (i = 0; i < n; i++)
		if (r->special_use == SPECIAL_OFF || out[i].excluded != NULL)
			out[i].use = 0;
}

const char *
rules_message(const struct rules *r, const struct msg_meta *m)
{
	if (r->skip_deleted && (m->flags & MSG_DELETED) != 0)
		return "deleted skip";
	if (r->max_size != UNKNOWN64 && m->size != UNKNOWN64 &&
	    m->size > r->max_size)
		return r->max_size_text;
	if (m->date == NO_DATE)
		return NULL;
	if (r->newer != NO_DATE && m->date < r->newer)
		return r->newer_text;
	if (r->older != NO_DATE && m->date >= r->older)
		return r->older_text;
	return NULL;
}
