/* The words for special uses, and the names that mail programs give to such
 * mailboxes. */
#include "rules_impl.h"

#include <string.h>
#include <strings.h>

const struct use_name use_words[NUSES] = {
	{ "\\All", USE_ALL }, { "\\Archive", USE_ARCHIVE },
	{ "\\Drafts", USE_DRAFTS }, { "\\Flagged", USE_FLAGGED },
	{ "\\Junk", USE_JUNK }, { "\\Sent", USE_SENT },
	{ "\\Trash", USE_TRASH }
};

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

	for (i = 0; i < NUSES; i++)
		if (use_words[i].use == use)
			return use_words[i].name;
	return "";
}

unsigned
use_of_word(const char *word)
{
	size_t i;

	while (*word == '\\')
		word++;
	for (i = 0; i < NUSES; i++)
		if (strcasecmp(use_words[i].name + 1, word) == 0)
			return use_words[i].use;
	return 0;
}
