noinst_LIBRARIES += liblauncher.a
liblauncher_a_SOURCES = \
	src/launcher/bases.c \
	src/launcher/box.c src/launcher/box.h \
	src/launcher/box_create.c \
	src/launcher/box_remove.c \
	src/launcher/box_spawn.c \
	src/launcher/box_watch.c \
	src/launcher/builds.c src/launcher/builds.h \
	src/launcher/child.c src/launcher/child.h \
	src/launcher/cpu.c src/launcher/cpu.h \
	src/launcher/client.c src/launcher/launcher.h \
	src/launcher/disk.c src/launcher/disk.h \
	src/launcher/images.c \
	src/launcher/mem_diff.c src/launcher/mem_diff.h \
	src/launcher/fc.h \
	src/launcher/fc_child.c src/launcher/fc_child.h \
	src/launcher/fc_do.c \
	src/launcher/fc_info.c \
	src/launcher/fc_request.c \
	src/launcher/fc_spawn.c \
	src/launcher/fc_made.c \
	src/launcher/fc_store.c \
	src/launcher/instance.c src/launcher/instance.h \
	src/launcher/outbox.c src/launcher/outbox.h \
	src/launcher/proto.c src/launcher/proto.h \
	src/launcher/record.c src/launcher/record.h \
	src/launcher/qemu_args.c src/launcher/qemu_args.h \
	src/launcher/qemu_spawn.c \
	src/launcher/recover.c \
	src/launcher/rootfs.c \
	src/launcher/server.c src/launcher/server.h \
	src/launcher/slots.c src/launcher/slots.h \
	src/launcher/task.c src/launcher/task.h \
	src/launcher/vm.c src/launcher/vm.h \
	src/launcher/vm_child.c src/launcher/vm_child.h \
	src/launcher/vm_image.c src/launcher/vm_image.h \
	src/launcher/vm_manifest.c src/launcher/vm_manifest.h \
	src/launcher/vm_request.c \
	src/launcher/vm_save.c src/launcher/vm_save.h \
	src/launcher/vm_store.c \
	src/launcher/warm.c src/launcher/warm.h \
	src/launcher/warm_key.c

libexec_PROGRAMS += sandglass-launcher
sandglass_launcher_SOURCES = src/launcher/main.c
sandglass_launcher_LDADD = liblauncher.a libhostnet.a libimage.a libjail.a libloop.a libbase.a \
	$(NFTABLES_LIBS) $(SECCOMP_LIBS) $(YAML_LIBS) $(EVENT_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
