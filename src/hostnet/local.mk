noinst_LIBRARIES += libhostnet.a
libhostnet_a_SOURCES = \
	src/hostnet/hostnet.c src/hostnet/hostnet.h \
	src/hostnet/maker.c src/hostnet/maker.h \
	src/hostnet/netlink.c src/hostnet/netlink.h \
	src/hostnet/plan.c src/hostnet/plan.h \
	src/hostnet/rules.c src/hostnet/rules.h \
	src/hostnet/tap.c src/hostnet/tap.h
