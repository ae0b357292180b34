# mailhaul: "make" builds build/mailhaul; "make help" lists the targets.

CC	= gcc
CLANG	= clang
PREFIX	= /usr/local
B	= build
VERSION	:= $(shell cat engine/version)

STD	= -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"'
OPT	= -O2 -g -D_FORTIFY_SOURCE=2
WARN	= -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wformat=2 -Wundef \
	  -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wcast-qual \
	  -Wpointer-arith -Wswitch-enum -Wimplicit-fallthrough \
	  -Wnull-dereference
ifdef DEV
WARN	+= -Werror
endif
HARD	= -fno-common -fstack-protector-strong -fPIE
CFLAGS	= $(OPT)
LDFLAGS	= -pie -Wl,-z,relro,-z,now
LIBS	= -letpan -lssl -lcrypto -luv -lsqlite3 -larchive -lz -lm -lpthread
ALL	= $(STD) $(WARN) $(HARD) $(CFLAGS) $(XFLAGS)

# V=1 shows the commands.
ifdef V
SAY	= @true
Q	=
else
SAY	= @echo
Q	= @
endif

# Each layer sees only the layers below it.
INC_formats	= -Iformats
INC_engine	= -Iformats -Iengine
INC_cmd		= -Iformats -Iengine -Icmd
INC_tests	= -Iformats -Iengine -Icmd -Itests

SRC_formats	:= $(sort $(wildcard formats/*.c formats/*/*.c))
SRC_engine	:= $(sort $(wildcard engine/*.c))
SRC_cmd		:= $(sort $(wildcard cmd/*.c))
SRC_lib		:= $(SRC_formats) $(SRC_engine) $(filter-out cmd/main.c,$(SRC_cmd))
HEADERS		:= $(sort $(wildcard formats/*.h formats/*/*.h engine/*.h cmd/*.h))
UNITS		:= $(sort $(wildcard tests/unit/test_*.c))
TESTLIB		:= $(sort $(wildcard tests/unit/lib/*.c))
FUZZERS		:= $(sort $(wildcard tests/fuzz/fuzz_*.c))

obj		= $(patsubst %.c,$(B)/%.o,$(1))
OBJ_lib		= $(call obj,$(SRC_lib))

.PHONY: all help check e2e faults asan tsan fuzz lint bench install clean \
	units fuzz-replay headers layers programs
.SECONDARY:

all: $(B)/mailhaul $(B)/mailhaul-nosync.so

help:
	@echo "all       build/mailhaul"
	@echo "check     headers, layers, unit tests, fuzz seeds; no network"
	@echo "e2e       against private Dovecot and Cyrus servers"
	@echo "faults    kills and injected errors"
	@echo "asan tsan the checks under sanitizers"
	@echo "fuzz      every fuzz target for T seconds (T=60)"
	@echo "lint      layers, banned calls, cppcheck, shellcheck, mandoc"
	@echo "bench     the table of ratios"
	@echo "install   to DESTDIR and PREFIX"

$(B)/formats/%.o: formats/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(INC_formats) -MMD -MP -c -o $@ $<
$(B)/engine/%.o: engine/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(INC_engine) -MMD -MP -c -o $@ $<
$(B)/cmd/%.o: cmd/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(INC_cmd) -MMD -MP -c -o $@ $<
$(B)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(INC_tests) -MMD -MP -c -o $@ $<

# Objects that embed the version are made anew when it changes.
$(call obj,$(SRC_engine) $(SRC_cmd)): engine/version

# What the page of a report is made of is a part of the program.
$(call obj,engine/page.c): $(wildcard engine/page/*)

$(B)/libmailhaul.a: $(OBJ_lib)
	@rm -f $@
	@$(AR) rcs $@ $(OBJ_lib)

$(B)/mailhaul: $(B)/cmd/main.o $(B)/libmailhaul.a
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(LDFLAGS) -o $@ $< $(B)/libmailhaul.a $(LIBS)

# For children of ours (see preload/nosync.c); never with sanitizers.
$(B)/mailhaul-nosync.so: preload/nosync.c
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(STD) $(WARN) $(OPT) -fPIC -shared -Wl,-z,relro,-z,now \
	    -o $@ $<

$(B)/unit/%: $(B)/tests/unit/%.o $(call obj,$(TESTLIB)) $(B)/libmailhaul.a
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(LDFLAGS) -o $@ $< $(call obj,$(TESTLIB)) \
	    $(B)/libmailhaul.a -lcmocka $(LIBS)

# A fuzz target is an LLVMFuzzerTestOneInput; fuzz_main.c replays its seeds.
$(B)/replay/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/main_replay.o $(B)/libmailhaul.a
	@mkdir -p $(@D)
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) $(LDFLAGS) -o $@ $< $(B)/tests/fuzz/main_replay.o \
	    $(B)/libmailhaul.a $(LIBS)

units: $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNITS))
replays: $(patsubst tests/fuzz/%.c,$(B)/replay/%,$(FUZZERS))

headers:
	@for h in $(HEADERS); do \
	    printf "%s\n" "#include \"$$h\"" "typedef int h;" | $(CC) $(STD) $(WARN) -Werror -fsyntax-only \
		-I. $(INC_cmd) -x c - || exit 1; done
	@echo "headers: each compiles alone"

layers:
	@scripts/check-layers

# Everything below runs through scripts/run-tests, which prints and counts.
check: headers layers all units replays
	@B=$(B) scripts/run-tests check

# The same program and tests with fault points compiled in.
.PHONY: $(B)/faults/mailhaul
$(B)/faults/mailhaul:
	@$(MAKE) --no-print-directory B=$(B)/faults \
	    XFLAGS="$(XFLAGS) -DMAILHAUL_FAULTS" $(B)/faults/mailhaul \
	    $(B)/faults/mailhaul-nosync.so

programs: all $(B)/faults/mailhaul

e2e: programs
	@B=$(B) scripts/run-tests e2e

faults: programs
	@$(MAKE) --no-print-directory B=$(B)/faults \
	    XFLAGS="$(XFLAGS) -DMAILHAUL_FAULTS" units
	@B=$(B) scripts/run-tests faults

SAN_asan = -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan = -fsanitize=thread
asan tsan:
	@$(MAKE) --no-print-directory B=$(B)/$@ OPT="-O1 -g" \
	    XFLAGS="$(SAN_$@) -DMAILHAUL_FAULTS" HARD="-fno-common -fPIE" \
	    all units replays
	@B=$(B)/$@ scripts/run-tests $@

# libFuzzer, from the seeds; new findings stay in $(B)/fuzz/corpus.
T = 60
fuzz:
	@$(MAKE) --no-print-directory B=$(B)/fuzz CC=$(CLANG) OPT="-O1 -g" \
	    HARD=-fPIE XFLAGS="-fsanitize=fuzzer-no-link,address,undefined \
	    -fno-sanitize-recover=all" fuzzers
	@B=$(B)/fuzz T=$(T) scripts/run-tests fuzz
fuzzers: $(patsubst tests/fuzz/%.c,$(B)/%,$(FUZZERS))
$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libmailhaul.a
	$(SAY) '  CC      $@'
	$(Q)$(CC) $(ALL) -fsanitize=fuzzer -o $@ $< $(B)/libmailhaul.a $(LIBS)

lint: layers
	@scripts/lint

bench: all
	@B=$(B) scripts/bench

install: all
	install -D -m 755 $(B)/mailhaul $(DESTDIR)$(PREFIX)/bin/mailhaul
	install -D -m 755 $(B)/mailhaul-nosync.so \
	    $(DESTDIR)$(PREFIX)/lib/mailhaul/mailhaul-nosync.so
	install -D -m 644 cmd/mailhaul.1 \
	    $(DESTDIR)$(PREFIX)/share/man/man1/mailhaul.1
	install -d -m 755 $(DESTDIR)$(PREFIX)/share/mailhaul
	install -m 644 engine/schema/*.json $(DESTDIR)$(PREFIX)/share/mailhaul

clean:
	rm -rf $(B)

-include $(patsubst %.c,$(B)/%.d,$(SRC_lib) cmd/main.c $(UNITS) $(FUZZERS) \
    $(TESTLIB))
