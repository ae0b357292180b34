#include "report_impl.h"
const struct report_sink report_sink_html = { 0 };
