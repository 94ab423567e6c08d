FUZZ_TARGETS += tests/fuzz/zmtp_fuzz tests/fuzz/jupyter_msg_fuzz
tests_fuzz_zmtp_fuzz_SOURCES = tests/fuzz/zmtp_fuzz.c $(FUZZ_MAIN)
tests_fuzz_zmtp_fuzz_LDADD = libjupyter.a libbase.a $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_zmtp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_jupyter_msg_fuzz_SOURCES = tests/fuzz/jupyter_msg_fuzz.c $(FUZZ_MAIN)
tests_fuzz_jupyter_msg_fuzz_LDADD = libjupyter.a libbase.a $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_jupyter_msg_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
