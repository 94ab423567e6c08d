FUZZ_TARGETS += tests/fuzz/launcher_fuzz tests/fuzz/config_fuzz tests/fuzz/qmp_fuzz
tests_fuzz_launcher_fuzz_SOURCES = tests/fuzz/launcher_fuzz.c $(FUZZ_MAIN)
tests_fuzz_launcher_fuzz_LDADD = liblauncher.a libbase.a $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_launcher_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_config_fuzz_SOURCES = tests/fuzz/config_fuzz.c src/daemon/config.c src/daemon/config.h \
	$(FUZZ_MAIN)
tests_fuzz_config_fuzz_CPPFLAGS = $(AM_CPPFLAGS) -DSANDGLASS_DATADIR='"$(pkgdatadir)"'
tests_fuzz_config_fuzz_LDADD = libimage.a libbase.a $(YAML_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_config_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_qmp_fuzz_SOURCES = tests/fuzz/qmp_fuzz.c src/vmm/qemu/qmp.c src/vmm/qemu/qmp.h $(FUZZ_MAIN)
tests_fuzz_qmp_fuzz_LDADD = libloop.a libbase.a $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_qmp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
